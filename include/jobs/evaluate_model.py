"""Measures a trained model on the test split, beside the champion and simple baselines.

    python -m include.jobs.evaluate_model --model M --artifact DIR [--champion DIR] --features DIR --validated DIR
                                  --evaluation DIR

``--artifact`` and ``--champion`` are folders with a model.tar.gz, ``--features`` has ``test/features.parquet``. Writes

- ``metrics.json``: flat metrics of candidate, champion (null where there is none) and baselines; what gates are held
  to. ``rolling_...`` are means over refits of the candidate at earlier ends of the data, where model.yaml asks for them
- ``evaluation.json``: the model quality statistics of the Model Registry
- ``report.html``: all of it for people
- ``golden_requests.json``, ``drift_profile.json``: the candidate's own, out of its model.tar.gz, for whoever tests an
  endpoint with them or compares training data
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import polars as pl

from include.jobs.build_features import read_tables
from include.jobs.cli import arguments_of, run_program
from include.jobs.evaluation.metrics import (
    Metrics,
    interval_metrics,
    labels_metrics,
    measure,
    plain,
    registry_statistics,
)
from include.jobs.evaluation.permutation import importances
from include.jobs.evaluation.refits import Refit, mean_metrics, refit
from include.jobs.evaluation.report import Evaluated, page
from include.jobs.features.feature_table import WHOLE, examples, read_split
from include.jobs.mlflow import tracking
from include.jobs.serving.archive import unpack
from include.jobs.serving.artifact import LoadedModel, load_artifact
from include.models.config import ModelConfig, TimeSplit, load_model
from include.models.config.files import DRIFT_PROFILE, EVALUATION_PAGE, GOLDEN_REQUESTS, METRICS, QUALITY_STATISTICS
from include.models.interface import Array, DomainFindings, Examples, Tables
from include.models.loader import domain_evaluation


def evaluate(
    config: ModelConfig,
    candidate: LoadedModel,
    champion: LoadedModel | None,
    test: pl.DataFrame,
    tables: Tables,
    refits: Sequence[Refit] = (),
) -> Evaluated:
    """Everything that is measured, all on the same rows; the candidate's hyperparameters also on those of the refits.

    Raises:
        JobError: a model needs a feature that the table does not have.
    """
    truth = examples(config, test)
    predictions = candidate.predict(test)
    metrics, domain = _measure(config, test, truth, predictions, tables)
    metrics |= _of_intervals(candidate, test, truth)
    rounds = [_round(config, one, tables) for one in refits]
    rolling = mean_metrics([one["candidate"] for one in rounds], [len(one.test) for one in refits])
    return Evaluated(
        config=config,
        test=test,
        truth=truth,
        predictions=predictions,
        model=candidate,
        domain=domain,
        metrics=metrics | rolling,
        champion=_of_champion(config, champion, test, truth, tables) if champion else None,
        baselines=_baselines(config, test, truth, tables),
        importances=importances(config, candidate, test, truth),
        rounds=list(zip(refits, rounds, strict=True)),
    )


def _of_champion(
    config: ModelConfig, champion: LoadedModel, test: pl.DataFrame, truth: Examples, tables: Tables
) -> Metrics:
    metrics, _ = _measure(config, test, truth, champion.predict(test), tables)
    return metrics | _of_intervals(champion, test, truth)


def _of_intervals(model: LoadedModel, test: pl.DataFrame, truth: Examples) -> Metrics:
    found = model.intervals(test)
    return {} if found is None else interval_metrics(truth.target, found)


def _round(config: ModelConfig, one: Refit, tables: Tables) -> dict[str, Metrics]:
    """A refit's metrics beside the baselines' on the same rows."""
    truth = examples(config, one.test)
    metrics, _ = _measure(config, one.test, truth, one.predictions, tables)
    return {"candidate": metrics, **_baselines(config, one.test, truth, tables)}


def write(evaluated: Evaluated, from_artifact: Mapping[str, str], folder: Path) -> None:
    """The files for the gates, for the Model Registry and for people, and those of the artifact by name."""
    folder.mkdir(parents=True, exist_ok=True)
    config, truth = evaluated.config, evaluated.truth
    statistics = registry_statistics(config.problem, truth.target, evaluated.predictions, truth.classes)
    summary = {
        "metrics": plain(evaluated.metrics),
        "champion": plain(evaluated.champion) if evaluated.champion else None,
        "baselines": {name: plain(found) for name, found in evaluated.baselines.items()},
        "mlflow_run_id": evaluated.model.metadata["mlflow_run_id"],
        "rows": len(evaluated.test),
    }
    for name, content in ((QUALITY_STATISTICS, statistics), (METRICS, summary)):
        (folder / name).write_text(json.dumps(content, indent=1, allow_nan=False), encoding="utf-8")
    (folder / EVALUATION_PAGE).write_text(page(evaluated), encoding="utf-8")
    for name, text in from_artifact.items():
        (folder / name).write_text(text, encoding="utf-8")


def _note(file: Path, **more: str) -> None:
    content = json.loads(file.read_text(encoding="utf-8"))
    file.write_text(json.dumps({**content, **more}, indent=1, allow_nan=False), encoding="utf-8")


def _measure(
    config: ModelConfig, test: pl.DataFrame, truth: Examples, predictions: Array, tables: Tables
) -> tuple[Metrics, DomainFindings]:
    metrics = measure(config.problem, truth.target, predictions, truth.classes)
    predicted = _names(truth, predictions.argmax(axis=1)) if truth.classes else pl.Series(predictions)
    domain = _in_the_field(config, test, predicted, tables)
    return metrics | domain.metrics, domain


def _baselines(config: ModelConfig, test: pl.DataFrame, truth: Examples, tables: Tables) -> dict[str, Metrics]:
    """The best constant answer, and what the model folder adds."""
    if not truth.classes:
        return {"mean": measure(config.problem, truth.target, np.full_like(truth.target, truth.target.mean()), [])}
    own = domain_evaluation(config.name)
    majority = np.full_like(truth.target, np.bincount(truth.target).argmax())
    rules = {"majority": _names(truth, majority), **(own.baselines(test, tables) if own else {})}
    found = {}
    for name, predicted in rules.items():
        codes = predicted.replace_strict(truth.classes, range(len(truth.classes)), return_dtype=pl.Int64).to_numpy()
        metrics = labels_metrics(config.problem, truth.target, codes, truth.classes)
        found[name] = metrics | _in_the_field(config, test, predicted, tables).metrics
    return found


def _in_the_field(config: ModelConfig, test: pl.DataFrame, predicted: pl.Series, tables: Tables) -> DomainFindings:
    own = domain_evaluation(config.name)
    if own is None:
        return DomainFindings()
    scored = test.select(config.data.not_features).with_columns(predicted.alias("predicted"))
    return own.evaluate(scored, tables)


def _names(truth: Examples, codes: Array) -> pl.Series:
    return pl.Series(np.array(truth.classes)[codes])


def main(argv: list[str] | None = None) -> None:
    parser = arguments_of(
        __doc__,
        artifact="folder with the candidate's model.tar.gz",
        features="feature table, with its test split",
        validated="folder of <table>.parquet",
        evaluation="where to write",
    )
    parser.add_argument("--champion", type=Path, help="folder with the approved model's model.tar.gz")
    arguments = parser.parse_args(argv)
    config = load_model(arguments.model)
    tracking.prepare()
    with tempfile.TemporaryDirectory() as scratch:
        folders = {"candidate": arguments.artifact, "champion": arguments.champion}
        models = {
            name: load_artifact(unpack(folder, Path(scratch) / name)) for name, folder in folders.items() if folder
        }
        from_artifact = {
            name: (Path(scratch) / "candidate" / name).read_text(encoding="utf-8")
            for name in (GOLDEN_REQUESTS, DRIFT_PROFILE)
        }
    test = read_split(arguments.features / "test")
    tables = read_tables(config, arguments.validated)
    candidate = models["candidate"]
    refits = []
    if isinstance(config.split, TimeSplit) and config.split.rolling_origins:
        refits = refit(config, candidate.metadata["hyperparameters"], read_split(arguments.features / WHOLE))
    evaluated = evaluate(config, candidate, models.get("champion"), test, tables, refits)
    write(evaluated, from_artifact, arguments.evaluation)
    run_id = candidate.metadata["mlflow_run_id"]
    logged = {f"test_{name}": value for name, value in evaluated.metrics.items()}
    problems = [found] if (found := candidate.metadata.get("tracking")) else []
    tracking.wait_for(tracking.log(run_id, logged, sorted(arguments.evaluation.iterdir())), problems=problems)
    if problems:
        _note(arguments.evaluation / METRICS, tracking="; ".join(problems))
    for name in dict.fromkeys([gate.metric for gate in config.gates]):
        print(f"test:{name}={evaluated.metrics[name]:.6g}", flush=True)


if __name__ == "__main__":
    run_program(main)
