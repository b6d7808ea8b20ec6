"""From raw tables to a model's splits, in one process: three steps, each with a report.

    python -m include.jobs.prepare_data --model M --raw DIR --validated DIR --features DIR
        --raw-report DIR --features-report DIR --preparation DIR [--data-from ISO] [--data-to ISO]
        [--held-out DAYS,DAYS[,SHARE]] [--must-learn ISO]

``validate_raw_data`` validates the raw tables and rejects bad rows, ``build_features`` builds the feature table and
splits it, ``validate_features`` validates the splits; each module documents what it reads and writes. Tables are passed
on in memory. The first critical finding ends the preparation; a feature table that cannot be built is one, and so is a
training split that does not reach past the required day.

``<preparation>/validation.json`` and ``validation.html`` contain the time of each step, where it stopped, and a summary
of the splits. The exit status is 0 whatever the verdict.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from time import monotonic

import polars as pl

from include.jobs import build_features, validate_features, validate_raw_data
from include.jobs.cli import arguments_of, run_program
from include.jobs.features.feature_table import class_counts
from include.jobs.features.splitting import Parts
from include.jobs.validation.cleaning import Window
from include.jobs.validation.earlier import Earlier, add_earlier
from include.jobs.validation.findings import Finding
from include.jobs.validation.report import Report, TableReport
from include.models.config import ModelConfig, TimeSplit, load_model
from include.models.config.files import FEATURE_TABLE, SPLITS
from include.models.errors import JobError


@dataclass
class Preparation:
    """Progress of the steps: seconds of each that has run, and the findings that ended them."""

    config: ModelConfig
    seconds: dict[str, float] = field(default_factory=dict)
    stopped_at: str | None = None
    findings: list[Finding] = field(default_factory=list)

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        began = monotonic()
        yield
        self.seconds[name] = monotonic() - began
        print(f"{name}: {self.seconds[name]:.1f} s", flush=True)

    def goes_on_after(self, name: str, report: Report) -> bool:
        """Whether the next step may run after this report."""
        print(report.summary, flush=True)
        if not report.passed:
            self.stopped_at = name
            self.findings = [one for one in report.findings if one.severity == "critical"]
        return report.passed

    def stop_building(self, finding: Finding, report_folder: Path) -> Report:
        """Of features that cannot be made: their own report is written, the whole one comes back."""
        report = Report(self.config.name, "feature table", [], {}, [finding])
        report.write(report_folder)
        self.goes_on_after("build_features", report)
        return self.report({})

    def report(self, splits: Parts) -> Report:
        tables = [TableReport(name, f"{name}/{FEATURE_TABLE}", len(part)) for name, part in splits.items()]
        facts = {name: f"{seconds:.1f} s" for name, seconds in self.seconds.items()}
        if self.stopped_at:
            facts["stopped at"] = self.stopped_at
        elif self.config.data.classes:
            facts |= {f"{name}, rows of each class": _classes(self.config, splits[name]) for name in SPLITS}
        return Report(self.config.name, "training data", tables, facts, self.findings)


def prepare(
    config: ModelConfig,
    raw: Path,
    window: Window,
    validated: Path,
    features: Path,
    reports: dict[str, Path],
    must_learn: date | None = None,
    earlier: Earlier | None = None,
) -> Report:
    """Runs the steps up to the first critical finding.

    Args:
        reports: the folder of each validating step's report, by its name.
        must_learn: the day that the training part must reach past.
        earlier: what the validations before found.

    Returns:
        The overall report.
    """
    done = Preparation(config)
    with done.step("validate_raw_data"):
        report, tables = validate_raw_data.run(config, raw, window, validated, reports["validate_raw_data"], earlier)
    if not done.goes_on_after("validate_raw_data", report):
        return done.report({})
    try:
        with done.step("build_features"):
            splits = build_features.run(config, tables, features, must_learn)
    except JobError as error:
        return done.stop_building(cannot_be_built(error), reports["validate_features"])
    with done.step("validate_features"):
        report = validate_features.run(config, splits, reports["validate_features"], earlier)
    done.goes_on_after("validate_features", report)
    return done.report(splits)


def cannot_be_built(error: JobError) -> Finding:
    return Finding(
        severity="critical",
        table="features",
        file=FEATURE_TABLE,
        column=None,
        expectation="features_can_be_built",
        found=str(error),
        allowed="raw tables that features and splits can be built from",
        rows=None,
        action="Correct the raw data or model.yaml and clear prepare_data.",
    )


def _classes(config: ModelConfig, part: pl.DataFrame) -> str:
    return ", ".join(f"{name} {count:,}" for name, count in class_counts(config, part).items())


def arguments_to_prepare(program_doc: str | None, **given: str) -> argparse.ArgumentParser:
    """A parser with the outputs of this program and ``merge_shards``; ``given`` are their inputs."""
    parser = arguments_of(
        program_doc,
        **given,
        validated="where to write the clean tables",
        features="where to write the splits",
        raw_report="where to write the verdict on the raw data",
        features_report="where to write the verdict on the features",
        preparation="where to write the overall report",
    )
    validate_raw_data.add_window(parser)
    add_earlier(parser)
    parser.add_argument(
        "--held-out",
        type=lambda text: [float(one) for one in text.split(",")],
        help="at most so many days to test and to validate, as 7,3; or only of a share of the clusters, as 7,3,0.2",
    )
    parser.add_argument("--must-learn", type=date.fromisoformat, help="the training part must reach past this day")
    return parser


def held_out(config: ModelConfig, less: Sequence[float] | None) -> ModelConfig:
    """The model's configuration with a split that holds out less, if requested and the split is by time."""
    if less is None or not isinstance(config.split, TimeSplit):
        return config
    return config.model_copy(update={"split": config.split.held_out(*less)})


def main(argv: list[str] | None = None) -> None:
    parser = arguments_to_prepare(__doc__, raw="folder of raw files")
    arguments = parser.parse_args(argv)
    reports = {"validate_raw_data": arguments.raw_report, "validate_features": arguments.features_report}
    report = prepare(
        held_out(load_model(arguments.model), arguments.held_out),
        arguments.raw,
        validate_raw_data.window_of(arguments),
        arguments.validated,
        arguments.features,
        reports,
        arguments.must_learn,
        Earlier(arguments.earlier, arguments.checks),
    )
    report.write(arguments.preparation)
    print(report.summary)


if __name__ == "__main__":
    run_program(main)
