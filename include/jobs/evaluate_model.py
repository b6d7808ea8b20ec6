"""Evaluates a trained model on the test split, beside the champion and simple baselines.

    python -m include.jobs.evaluate_model --model M --artifact DIR [--training DIR]
                                  [--champion DIR [--earlier-1 DIR ...] [--versions 7,5,4]]
                                  --features DIR --validated DIR --evaluation DIR [--refit DIR [--forced]] [--usual]
                                  [--since DAY]

``--artifact``, ``--champion`` and earlier production versions (``--earlier-1`` is the last of them) are folders with a
model.tar.gz; ``--versions`` are the numbers of the latter. ``--training`` has the candidate's output.tar.gz, with what
concerns only its run. ``--features`` has ``test/features.parquet``. Writes

- ``metrics.json``: flat metrics of candidate, champion (null if there is none) and baselines, which gates check.
``rolling_...`` are means over refits of the candidate at earlier ends of the data, if model.yaml asks for them
- ``evaluation.json``: the model quality statistics of the Model Registry
- ``report.html``: all of it for people
- ``reference.json``: statistics of the version's training data by day, for monitoring the days that it scores
- ``golden_requests.json``, ``drift_profile.json``: copied from the candidate's model.tar.gz, for testing an endpoint
and comparing training data

If model.yaml says ``split.refit`` and the gates pass (``--forced``: as with force), ``--refit`` gets the model.tar.gz
of the candidate refitted on all rows, which is registered; the last three files then describe that one.

With ``--since``, the day of the change that monitoring started the training for, the test split's rows since then are
also measured on their own.

With ``--usual``, a candidate with other hyperparameters than model.yaml's, such as a tuned one, is also compared with
one that has those: one more fit.
"""

from __future__ import annotations

import json
import math
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import zip_longest
from pathlib import Path
from typing import cast

import polars as pl

from include.jobs.build_features import read_tables, without_lines
from include.jobs.cli import arguments_of, run_program
from include.jobs.evaluation.changes import changes, gates_in
from include.jobs.evaluation.comparing import InProduction, beside, gains
from include.jobs.evaluation.ground import ground, suspected
from include.jobs.evaluation.measuring import NOTHING, Answers, Measured, Measures, mean_of
from include.jobs.evaluation.metrics import plain, registry_statistics
from include.jobs.evaluation.refits import Refit, refit
from include.jobs.evaluation.registered import Registered, fit_on_all, pack
from include.jobs.evaluation.report import Evaluated, page
from include.jobs.evaluation.slicing import fairness, sliced, told, worst_of_gates
from include.jobs.evaluation.usual import beside_usual
from include.jobs.features.feature_table import WHOLE, evenly_spaced, examples, read_split, scan_split
from include.jobs.features.learned_rows import learned
from include.jobs.mlflow import tracking
from include.jobs.serving.archive import unpack
from include.jobs.serving.artifact import LoadedModel, TrainingRun, load_artifact
from include.jobs.watching.realised import since_change
from include.jobs.watching.reference import reference
from include.models.config import DriftProfile, Json, ModelConfig, TimeSplit, load_model
from include.models.config.files import (
    DRIFT_PROFILE,
    EVALUATION_PAGE,
    GOLDEN_REQUESTS,
    METRICS,
    OUTPUT_ARCHIVE,
    QUALITY_STATISTICS,
    REFERENCE,
    TRAINING_RUN,
)
from include.models.config.gates import MOST_RIVALS
from include.models.config.judging import judge, may_register
from include.models.config.metrics import ONE_RULE
from include.models.interface import Tables
from include.models.tabular.one_rule import MOST_ROWS, one_rule


def evaluate(
    config: ModelConfig,
    candidate: LoadedModel,
    production: Sequence[InProduction],
    test: pl.DataFrame,
    tables: Tables,
    profile: DriftProfile,
    train: pl.LazyFrame,
    refits: Sequence[Refit] = (),
    training: TrainingRun | None = None,
) -> Evaluated:
    """Everything that is measured, all on the same rows; the candidate's hyperparameters also on those of the refits.

    Args:
        production: the last versions in production, the champion first.
        profile: of the candidate's training split.
        train: that split, from some rows of which the single rule is learned where a gate asks for it.

    Raises:
        JobError: the candidate needs a feature that the table does not have.
    """
    truth = examples(config, test)
    measures = Measures(config, test, truth, tables)
    answers = Answers.of(candidate, test)
    predictions, labels, ours = answers.predictions, answers.labels, measures.of(answers)
    compared = [beside(measures, answers, ours, one) for one in production]
    baselines = measures.of_baselines() | _one_rule(measures, train)
    rounds = [_round(config, one, tables) for one in refits]
    rolling = (
        {name: mean_of([one[name] for one in rounds], [len(one.test) for one in refits]) for name in rounds[0]}
        if rounds
        else {}
    )
    everything = ours | rolling.get("candidate", NOTHING)
    simple = {name: one | rolling.get(name, NOTHING) for name, one in baselines.items()}
    over = gains(config, everything, simple, compared)
    theirs = compared[0].theirs if compared else None
    segments = sliced(measures, answers)
    worst, named = worst_of_gates(config, segments)
    of_segments = worst | Measured(fairness(measures, answers))
    return Evaluated(
        config=config,
        test=test,
        truth=truth,
        predictions=predictions,
        labels=labels,
        model=candidate,
        training=training or {},
        domain=measures.findings(predictions, labels),
        slices=told(config, segments),
        worst=named,
        measured=everything
        | over
        | of_segments
        | Measured(ground(truth, profile, candidate.metadata["rows"]["train"])),
        suspects=suspected(config, truth),
        champion=theirs.values if theirs else None,
        production=[one.rival for one in compared],
        baselines={name: one.values for name, one in baselines.items()},
        rounds=[
            (refit, {name: one.values for name, one in found.items()})
            for refit, found in zip(refits, rounds, strict=True)
        ],
    )


def _one_rule(measures: Measures, train: pl.LazyFrame) -> dict[str, Measured]:
    """The best single rule, if a gate is over it."""
    if all(gate.over != ONE_RULE for gate in measures.config.gates):
        return {}
    some = examples(measures.config, evenly_spaced(train, MOST_ROWS))
    answers = one_rule(measures.config, some, measures.truth.features)
    return {ONE_RULE: measures.of_predictions(Answers(answers))}


def _round(config: ModelConfig, one: Refit, tables: Tables) -> dict[str, Measured]:
    """A refit's metrics beside the baselines' on the same rows."""
    measures = Measures(config, one.test, examples(config, one.test), tables)
    return {"candidate": measures.of(Answers(one.predictions, labels=one.labels)), **measures.of_baselines()}


def read_training_run(folder: Path | None) -> TrainingRun:
    """The content of the folder's output.tar.gz; empty without one."""
    if folder is None:
        return {}
    with tempfile.TemporaryDirectory() as scratch:
        said = unpack(folder, Path(scratch), OUTPUT_ARCHIVE) / TRAINING_RUN
        found: TrainingRun = json.loads(said.read_text(encoding="utf-8"))
    return found


def write(evaluated: Evaluated, from_artifact: Mapping[str, str], folder: Path) -> None:
    """Writes the files for the gates, for the Model Registry and for people, and those copied from the artifact."""
    folder.mkdir(parents=True, exist_ok=True)
    config, truth = evaluated.config, evaluated.truth
    statistics = registry_statistics(
        config.problem,
        truth.target,
        evaluated.predictions,
        truth.classes,
        evaluated.measured.replicates,
        evaluated.labels,
    )
    statistics["slices"] = cast("Json", evaluated.slices)
    summary = {
        **evaluated.outcome,
        "baselines": {name: plain(found) for name, found in evaluated.baselines.items()},
        "mlflow_run_id": evaluated.training.get("mlflow_run_id"),
        "mlflow_page": evaluated.mlflow,
        "rows": len(evaluated.test),
    }
    for name, content in ((QUALITY_STATISTICS, statistics), (METRICS, summary)):
        (folder / name).write_text(json.dumps(content, indent=1, allow_nan=False), encoding="utf-8")
    (folder / EVALUATION_PAGE).write_text(page(evaluated), encoding="utf-8")
    for name, text in from_artifact.items():
        (folder / name).write_text(text, encoding="utf-8")


def _refitted(
    evaluated: Evaluated, golden: str, features: Path, into: Path, *, forced: bool, scratch: Path
) -> Registered | None:
    """Writes what is registered in the candidate's place into a folder; None if the candidate itself is registered, or
    nothing."""
    config = evaluated.config
    if not config.split.refit or not may_register(judge(config, evaluated.outcome, forced=forced)):
        return None
    registered = fit_on_all(config, evaluated.model, golden, features, evaluated.truth, scratch)
    pack(registered.folder, into)
    facts = registered.facts
    print(f"refitted on {facts['rows']} rows; distance of golden answers {facts['distance']:.4f}", flush=True)
    return registered


def _from_artifact(unpacked: Path) -> dict[str, str]:
    return {name: (unpacked / name).read_text(encoding="utf-8") for name in (GOLDEN_REQUESTS, DRIFT_PROFILE)}


def _note(file: Path, **more: str) -> None:
    content = json.loads(file.read_text(encoding="utf-8"))
    file.write_text(json.dumps({**content, **more}, indent=1, allow_nan=False), encoding="utf-8")


def _in_production(folder: Path, version: int | None, test: pl.DataFrame) -> InProduction:
    model = load_artifact(folder)
    return InProduction(version, model, learned(folder, model.metadata.get("learned_from"), test))


def _versions(text: str) -> list[int]:
    return [int(number) for number in text.split(",")]


def main(argv: list[str] | None = None) -> None:
    parser = arguments_of(
        __doc__,
        artifact="folder with the candidate's model.tar.gz",
        features="feature table, with its test split",
        validated="folder of <table>.parquet",
        evaluation="where to write",
    )
    parser.add_argument("--training", type=Path, help="folder with the candidate's output.tar.gz")
    parser.add_argument("--refit", type=Path, help="where to write the registered model, if model.yaml refits")
    parser.add_argument("--forced", action="store_true", help="the run is forced: only the gates must hold")
    parser.add_argument("--usual", action="store_true", help="also compare with model.yaml's own hyperparameters")
    parser.add_argument("--since", help="the day of the change that monitoring started the training for")
    in_production = ["champion", *(f"earlier_{number}" for number in range(1, MOST_RIVALS))]
    for name in in_production:
        what = "folder with the model.tar.gz of a current or former production version"
        parser.add_argument(f"--{name.replace('_', '-')}", type=Path, help=what)
    parser.add_argument(
        "--versions", type=_versions, default=[], help="the numbers of those versions, separated by commas"
    )
    arguments = parser.parse_args(argv)
    config = load_model(arguments.model)
    tracking.prepare(config.name)
    test = read_split(arguments.features / "test")
    with_lines = read_tables(config, arguments.validated)
    tables = without_lines(with_lines)
    given = [folder for name in in_production if (folder := getattr(arguments, name))]
    with tempfile.TemporaryDirectory() as scratch:
        unpacked = unpack(arguments.artifact, Path(scratch) / "candidate")
        candidate = load_artifact(unpacked)
        from_artifact = _from_artifact(unpacked)
        production = [
            _in_production(unpack(folder, Path(scratch) / str(number)), version, test)
            for number, (folder, version) in enumerate(zip_longest(given, arguments.versions))
        ]
        gates = gates_in(Path(scratch) / "0", config.name) if production else None
    refits = []
    if isinstance(config.split, TimeSplit) and config.split.rolling_origins:
        refits = refit(config, candidate.metadata["hyperparameters"], read_split(arguments.features / WHOLE))
    profile = json.loads(from_artifact[DRIFT_PROFILE])
    training = read_training_run(arguments.training)
    train, edges = scan_split(arguments.features / "train"), candidate.metadata.get("answer_edges", [])
    evaluated = evaluate(config, candidate, production, test, tables, profile, train, refits, training)
    measures = Measures(config, test, evaluated.truth, tables)
    answers = Answers(evaluated.predictions, labels=evaluated.labels)
    evaluated = replace(
        evaluated,
        chosen=beside_usual(measures, candidate, evaluated.measured, arguments.features) if arguments.usual else None,
        changed=changes(config, candidate, production[0].model, gates) if production else None,
        since=since_change(config, test, answers, arguments.since) if arguments.since else None,
        mlflow=tracking.wait_for(tracking.address(training.get("mlflow_run_id"))),
    )
    with tempfile.TemporaryDirectory() as folder:
        golden, into = from_artifact[GOLDEN_REQUESTS], arguments.refit or arguments.evaluation
        registered = _refitted(
            evaluated, golden, arguments.features, into, forced=arguments.forced, scratch=Path(folder)
        )
        if registered:
            evaluated = replace(evaluated, refit=registered.facts)
            train, edges = registered.rows.lazy(), registered.model.metadata.get("answer_edges", [])
            from_artifact = _from_artifact(registered.folder)
            profile = json.loads(from_artifact[DRIFT_PROFILE])
    watched = reference(
        config, with_lines, train, test, evaluated.truth, answers.predictions, answers.labels, profile, edges
    )
    write(evaluated, from_artifact | {REFERENCE: json.dumps(watched, allow_nan=False)}, arguments.evaluation)
    run_id = training.get("mlflow_run_id")
    logged = {f"test_{name}": value for name, value in evaluated.metrics.items()}
    problems = [found] if (found := training.get("tracking")) else []
    tracking.wait_for(tracking.log(run_id, logged, sorted(arguments.evaluation.iterdir())), problems=problems)
    if problems:
        _note(arguments.evaluation / METRICS, tracking="; ".join(problems))
    for name in dict.fromkeys([gate.measured for gate in config.gates]):
        print(f"test:{name}={evaluated.metrics.get(name, math.nan):.6g}", flush=True)


if __name__ == "__main__":
    run_program(main)
