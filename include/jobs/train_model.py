"""Fits a model: SageMaker's training contract around the model folder's estimator.

    python -m include.jobs.train_model [--hyperparameters FILE] [--train DIR] [--validation DIR] [--model-dir DIR]
                                       [--output-dir DIR]

Reads features.parquet from the channels ``train`` and ``validation``; writes what becomes model.tar.gz (see
``jobs/serving/artifact.py``), and ``training.json`` to the output folder, what becomes output.tar.gz: what is a matter
of this run alone. Hyperparameters are SageMaker's strings: ``model`` names the model, the others override model.yaml's.
A tuning job's training prints its objective as it goes, every few rounds. Without arguments every place is SageMaker's
own, or what ``SM_MODEL_DIR``, ``SM_OUTPUT_DATA_DIR``, ``SM_CHANNEL_TRAIN``, ``SM_CHANNEL_VALIDATION`` and ``SM_HPS``
(JSON) say. Prints ``validation:<metric>=<value>`` for MetricDefinitions.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Mapping
from functools import partial
from pathlib import Path

import numpy as np

from include.jobs.cli import OPT_ML, TRAINING_FAILURE, run_program
from include.jobs.evaluation.metrics import Metrics, measure, plain
from include.jobs.evaluation.registered import require_refit
from include.jobs.features.feature_table import examples, read_split
from include.jobs.features.learned_rows import write_learned_rows
from include.jobs.mlflow import tracking
from include.jobs.mlflow.mlflow_model import write_mlflow_model
from include.jobs.serving.artifact import Facts, TrainingRun, save_artifact, training_run
from include.jobs.serving.decision import judgement
from include.models.config import ModelConfig, Scalar, load_model, nearest
from include.models.config.files import TRAINING_RUN
from include.models.config.metric_references import VALIDATION
from include.models.errors import JobError
from include.models.interface import Array, Examples
from include.models.loader import estimator
from include.models.rounds import Tell, telling

OBJECTIVE = "_tuning_objective_metric"  # what tuning adds to the hyperparameters


def read_hyperparameters(path: Path | None) -> dict[str, str]:
    """SageMaker's hyperparameters, all strings; from ``SM_HPS`` if no file is given.

    Raises:
        JobError: the file does not exist.
    """
    if path is None and "SM_HPS" in os.environ:
        content = json.loads(os.environ["SM_HPS"])
    else:
        path = path or OPT_ML / "input" / "config" / "hyperparameters.json"
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError as error:
            raise JobError(f"{path} is missing: name hyperparameters with --hyperparameters or SM_HPS.") from error
    return {name: str(value) for name, value in content.items()}


def parse_hyperparameters(config: ModelConfig, given: Mapping[str, str]) -> dict[str, Scalar]:
    """model.yaml's hyperparameters, overridden by the given ones, in the estimator's types.

    Raises:
        JobError: an unknown name, or an invalid value.
    """
    known = config.hyperparameters
    values = dict(config.training.hyperparameters)
    for name, text in given.items():
        if name.startswith("_") or name == "model":  # tuning adds OBJECTIVE
            continue
        if name not in known:
            raise JobError(f"{config.name} has no hyperparameter '{name}'. {nearest(name, known)}")
        try:
            values[name] = known[name].read(text)
        except ValueError as error:
            raise JobError(f"hyperparameter {name} {error}.") from None
    return values


def objective(config: ModelConfig, validation: Examples, metric: str | None) -> Tell | None:
    """Prints a tuning job's objective, such as ``validation:f1``, of answers to the validation split."""
    if metric is None:
        return None

    def tell(answers: Array) -> None:
        both = np.column_stack([1 - answers, answers]) if config.problem == "binary" else answers
        found = measure(config.problem, validation.target, both, validation.classes)
        print(f"{metric}={found[metric.removeprefix(VALIDATION)]:.6g}", flush=True)

    return tell


def train(
    config: ModelConfig, given: Mapping[str, str], channels: Mapping[str, Path], model_dir: Path, output_dir: Path
) -> Metrics:
    """Fits, evaluates on the validation split, writes the artifact and the run's data; returns the validation
    metrics.

    Raises:
        JobError: unusable hyperparameters or features.
    """
    hyperparameters = parse_hyperparameters(config, given)
    tracking.prepare(config.name)
    splits = {name: read_split(folder) for name, folder in channels.items()}
    parts = {name: examples(config, split) for name, split in splits.items()}
    fitted, validation = parts["train"], parts["validation"]
    if fitted.features.columns != validation.features.columns:
        raise JobError("the train and validation splits have different columns. Run build_features again.")
    own = estimator(config.name)
    require_refit(config, own)
    began = time.time()
    try:
        with telling(objective(config, validation, given.get(OBJECTIVE))):
            model = own.fit(fitted, validation, hyperparameters)
    except ValueError as error:
        raise JobError(f"{config.name} cannot be fitted: {error}") from error
    seconds = time.time() - began
    answers = own.predict(model, validation.features)
    judged = judgement(config, validation.target, answers)
    labels = None
    if validation.classes:
        answers = judged.calibrated(answers)
        labels = judged.labels(answers)
    metrics = measure(config.problem, validation.target, answers, validation.classes, labels)
    tags = {
        "model": config.name,
        "run": os.environ.get("RUN_ID", "by hand"),
        "code_hash": os.environ.get("CODE_HASH", ""),
    }
    problems: list[str] = []
    run_id = tracking.wait_for(tracking.start_run(config.name, hyperparameters, tags, began), problems=problems)
    facts: Facts = {
        "hyperparameters": hyperparameters,
        "fit": own.describe(model),
        "validation_metrics": plain(metrics),
        "git_commit": os.environ.get("GIT_COMMIT"),
    }
    model_dir.mkdir(parents=True, exist_ok=True)
    facts["learned_from"] = write_learned_rows(model_dir, config, splits.values())
    save_artifact(model_dir, config, model, fitted, validation, facts, judged)
    of_run: TrainingRun = {
        **training_run(),
        "fit_seconds": round(seconds, 2),
        "mlflow_run_id": run_id,
        "tracking": "; ".join(problems) or None,
    }
    output_dir.mkdir(parents=True, exist_ok=True)
    (output_dir / TRAINING_RUN).write_text(json.dumps(of_run, indent=1), encoding="utf-8")
    described = {name: float(value) for name, value in own.describe(model).items() if not isinstance(value, str)}
    logged = {f"validation_{name}": value for name, value in metrics.items()} | described | {"fit_seconds": seconds}
    files = [path for path in sorted(model_dir.iterdir()) if path.is_file()]
    write_model = partial(write_mlflow_model, model_dir, fitted.features) if config.tracking.model_versions else None
    tracking.wait_for(tracking.log(run_id, logged, files, write_model, first=True))
    print(f"{config.name}: fitted on {len(fitted.target)} rows in {seconds:.1f} s, {own.describe(model)}")
    return metrics


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--hyperparameters", type=Path, help="JSON file")
    data = OPT_ML / "input" / "data"
    for channel in ("train", "validation"):
        place = os.environ.get(f"SM_CHANNEL_{channel.upper()}", data / channel)
        parser.add_argument(f"--{channel}", type=Path, default=place, help="folder of features.parquet")
    parser.add_argument("--model-dir", type=Path, default=os.environ.get("SM_MODEL_DIR", OPT_ML / "model"))
    output = os.environ.get("SM_OUTPUT_DATA_DIR", OPT_ML / "output" / "data")
    parser.add_argument("--output-dir", type=Path, default=output)
    arguments = parser.parse_args(argv)
    given = read_hyperparameters(arguments.hyperparameters)
    if "model" not in given:
        raise JobError("the hyperparameters lack 'model', the name of the model folder to train.")
    channels = {"train": arguments.train, "validation": arguments.validation}
    folders = arguments.model_dir, arguments.output_dir
    for name, value in train(load_model(given["model"]), given, channels, *folders).items():
        print(f"validation:{name}={value:.6g}", flush=True)


if __name__ == "__main__":
    run_program(main, TRAINING_FAILURE)
