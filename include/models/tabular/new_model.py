"""``make new-model``: a model folder from a CSV file, ready to run.

    python -m include.models.tabular.new_model --name N --kind binary|multiclass|regression --data FILE
        [--target COLUMN]

Writes ``models/<name>/``: model.yaml, a first suite of expectations for the raw table and for the features, and
profile.json, from which data is made up where none is given. What is to be predicted is the last column unless
``--target`` names another; what identifies a row, what tells its time, and what cannot be learned from is inferred, and
said, for a person to look at.
"""

from __future__ import annotations

import argparse
import json
import math
import re
import shutil
import sys
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

import polars as pl
import yaml

from include.models.config import MODELS_FOLDER, ConfigError, Json, load_model
from include.models.config.json_schema import EDITOR_LINE
from include.models.errors import JobError
from include.models.raw.kinds import MAX_CATEGORIES
from include.models.tabular.column_profile import Profile, profile
from include.models.tabular.simulate import FILE as PROFILE_FILE

TABLE = "rows"
ROW_NUMBER = "row_number"
TEST_SHARE, VALIDATION_SHARE = 0.2, 0.15
LEAST_DAYS = 20
MOST_LISTED = 50  # categories that an expectation names


def new_model(
    name: str, problem: str, file: Path, target: str | None = None, folder: Path = MODELS_FOLDER
) -> list[str]:
    """Write the folder; what a person should look at, as sentences.

    Raises:
        JobError: the folder is there already, the name cannot be one, or the file is not fit for the problem.
    """
    if not re.fullmatch(r"[a-z][a-z0-9_]{0,38}[a-z0-9]", name):
        raise JobError(
            f"NAME={name} cannot be a model's name: 2 to 40 lower-case letters, digits and _, a letter first."
        )
    home = folder / name
    if home.exists():
        raise JobError(
            f"include/models/{name} is there already; nothing was written. Choose another NAME, or remove it."
        )
    table_file = file.name.removesuffix(".gz")
    if not re.fullmatch(r"[\w.-]+\.csv", table_file):
        raise JobError(
            f"DATA={file.name}: a table's file is called <letters, digits, - _ .>.csv, or .csv.gz. Rename it."
        )
    found, frame = profile(file, problem, target)
    if not found.features:
        raise JobError(f"{file.name} has no column to learn from besides {target or found.target}: {found.excluded}.")
    split = _split(found, frame)
    try:
        home.mkdir()
        (home / "model.yaml").write_text(_model_yaml(name, table_file, found, split), encoding="utf-8")
        suites = home / "expectations"
        suites.mkdir()
        _write(suites / f"{TABLE}.json", {"name": TABLE, "expectations": _raw_suite(found, frame)})
        _write(suites / "features.json", {"name": "features", "expectations": _feature_suite(found, frame)})
        _write(home / PROFILE_FILE, asdict(found))
        load_model(name, folder)
    except BaseException:
        shutil.rmtree(home, ignore_errors=True)  # half a folder would be a broken model
        raise
    return _to_look_at(found, split)


def _split(found: Profile, frame: pl.DataFrame) -> dict[str, Json]:
    """By time where there is one, and every class is met before and after; else by chance."""
    by_chance: dict[str, Json] = {
        "kind": "random",
        "test_share": TEST_SHARE,
        "validation_share": VALIDATION_SHARE,
        "stratify": True,
    }
    if found.time is None or frame[found.time].null_count():
        return by_chance
    first, last = frame[found.time].min(), frame[found.time].max()
    days = (last - first).days  # type: ignore[operator, union-attr] # datetimes
    if days < LEAST_DAYS:
        return by_chance
    test, validation = round(days * TEST_SHARE), round(days * VALIDATION_SHARE)
    age = (pl.lit(last) - pl.col(found.time)).dt.total_seconds() / (24 * 3600)
    parts = [
        frame.filter(age < test),
        frame.filter(age > test + validation),
        frame.filter(age >= test, age <= test + validation),
    ]
    if any(part.is_empty() for part in parts):
        return by_chance
    if found.classes and any(part[found.target].n_unique() < len(found.classes) for part in parts):
        return by_chance
    return {"kind": "time", "test_days": test, "validation_days": validation}


def _model_yaml(name: str, file: str, found: Profile, split: Mapping[str, Json]) -> str:
    columns: dict[str, Json] = {}
    for column, facts in found.columns.items():
        form = facts.get("format")
        columns[column] = {"kind": facts["kind"], "format": form} if form else facts["kind"]
    table: dict[str, Json] = {
        "file": file,
        "columns": columns,
        "key": [found.id or ROW_NUMBER],
        "max_rejected_share": 0.02,
    }
    if found.id is None:
        table["row_number"] = ROW_NUMBER
    data: dict[str, Json] = {"tables": {TABLE: table}, "key": [found.id or ROW_NUMBER]}
    if found.time:
        data["time"] = found.time
    data["label"] = found.target
    if found.classes:
        data["classes"] = found.classes
    gate, champion = _gate(found)
    sections: list[tuple[str, dict[str, Json]]] = [
        (
            "",
            {"name": name, "description": f"{found.target} from {file}.", "owner": "unowned", "problem": found.problem},
        ),
        ("a cron expression in UTC; none: only when somebody triggers it", {"schedule": {"train": None}}),
        ("raw tables, and the columns that are no features", {"data": data}),
        (
            "exclude what is known only afterwards; derive ratios, differences and products",
            {"features": _features(found)},
        ),
        ("", {"split": dict(split)}),
        (
            "",
            {
                "training": {
                    "instance_type": "ml.m5.large",
                    "hyperparameters": _hyperparameters(found),
                    "tuning": _tuning(champion),
                }
            },
        ),
        ("", {"processing": {"instance_type": "ml.m5.large"}}),
        ("low on purpose: better than knowing nothing. Raise them to what the business needs", {"gates": [gate]}),
        ("against the approved model, on the same test split", {"champion": champion}),
        ("", {"serving": {"instance_type": "ml.m5.large"}}),
        ("a day's partition holds that day's rows", {"scoring": {"tables": [TABLE], "instance_type": "ml.m5.large"}}),
        (
            "of features against the training split, over the last scored days",
            {"monitoring": {"max_psi": 0.25, "retrain": False}},
        ),
    ]
    parts = [EDITOR_LINE]
    for comment, section in sections:
        text = yaml.safe_dump(section, sort_keys=False, allow_unicode=True, width=110)
        parts.append(f"# {comment}\n{text}" if comment else text)
    return "\n".join(parts)


def _features(found: Profile) -> dict[str, Json]:
    return {"exclude": list(found.excluded), "derived": []}


def _hyperparameters(found: Profile) -> dict[str, Json]:
    values: dict[str, Json] = {"num_boost_round": 300, "early_stopping_rounds": 50, "learning_rate": 0.05}
    values |= {"num_leaves": 15, "min_data_in_leaf": max(3, min(20, found.rows // 100)), "feature_fraction": 0.7}
    return values | {"bagging_fraction": 0.9, "lambda_l2": 1.0, "class_balance": 0.0, "seed": 7}


def _tuning(champion: Mapping[str, Json]) -> dict[str, Json]:
    return {
        "objective": {"metric": f"validation:{champion['metric']}", "direction": champion["direction"]},
        "max_jobs": 8,
        "max_parallel_jobs": 2,
        "ranges": {
            "learning_rate": {"min": 0.02, "max": 0.2, "scale": "logarithmic"},
            "num_leaves": {"min": 7, "max": 63},
            "min_data_in_leaf": {"min": 3, "max": 50, "scale": "logarithmic"},
        },
    }


def _gate(found: Profile) -> tuple[dict[str, Json], dict[str, Json]]:
    """Better than the best constant answer; and the metric to compare with the approved model by."""
    if found.problem == "regression":
        return {"metric": "r2", "min": 0.05}, {"metric": "r2", "direction": "maximize", "margin": 0.01}
    if found.problem == "binary":
        return {"metric": "roc_auc", "min": 0.6}, {"metric": "roc_auc", "direction": "maximize", "margin": 0.01}
    most = max(group["share"] for group in found.groups)
    constant = 2 * most / (1 + most) / len(found.classes)
    gate: dict[str, Json] = {"metric": "macro_f1", "min": math.ceil(constant * 100) / 100}
    return gate, {"metric": "macro_f1", "direction": "maximize", "margin": 0.01}


def _raw_suite(found: Profile, frame: pl.DataFrame) -> list[dict[str, Json]]:
    """What the file held, as what is expected. Labels may be missing: rows to score have none yet."""
    target = frame[found.target]
    suite = []
    if found.classes:
        values = target.unique().sort().to_list()
        suite.append(
            _in_set(found.target, values, "critical", 1.0, "Correct the label, or add the class to model.yaml.")
        )
    else:
        suite.append(_between(found.target, target, "warning", "Look whether the target is still what it was."))
    for name in found.features:
        suite += _usual(found, frame[name], "raw data")
    return suite


def _feature_suite(found: Profile, frame: pl.DataFrame) -> list[dict[str, Json]]:
    rows: dict[str, Json] = {
        "type": "expect_table_row_count_to_be_between",
        "kwargs": {"min_value": 5},
        "severity": "critical",
        "meta": {"action": "Give more data, or larger shares in model.yaml's split."},
    }
    label = _not_null(
        found.target, "critical", None, "Look at build_features: rows without a label are left out there."
    )
    return [rows, label, *(one for name in found.features for one in _usual(found, frame[name], "features"))]


def _usual(found: Profile, series: pl.Series, where: str) -> list[dict[str, Json]]:
    missing = found.columns[series.name]["missing"]
    mostly = round(max(0.0, 1 - 1.5 * missing - 0.05), 3)
    suite = []
    if mostly > 0:
        action = (
            f"Look where the values got lost: {missing:.1%} were missing in the data that this suite was made from."
        )
        suite.append(_not_null(series.name, "warning", mostly, action))
    known = series.drop_nulls()
    if series.dtype == pl.String:
        if known.n_unique() <= MOST_LISTED:
            action = f"New values in the {where} count as 'other' until the model is trained again."
            suite.append(_in_set(series.name, known.unique().sort().to_list(), "warning", 0.95, action))
        return suite
    return [*suite, _between(series.name, known, "warning", "Look at the source: values far from those of before.")]


def _between(name: str, known: pl.Series, severity: str, action: str) -> dict[str, Json]:
    """Within the range seen, and as much again on each side."""
    low, high = float(known.min()), float(known.max())  # type: ignore[arg-type] # numbers
    span = (high - low) or max(abs(high), 1.0)
    kwargs: dict[str, Json] = {"column": name, "min_value": low - span, "max_value": high + span, "mostly": 0.99}
    return _expectation("expect_column_values_to_be_between", kwargs, severity, action)


def _not_null(name: str, severity: str, mostly: float | None, action: str) -> dict[str, Json]:
    kwargs: dict[str, Json] = {"column": name, **({"mostly": mostly} if mostly is not None else {})}
    return _expectation("expect_column_values_to_not_be_null", kwargs, severity, action)


def _in_set(name: str, values: list[Json], severity: str, mostly: float, action: str) -> dict[str, Json]:
    kwargs: dict[str, Json] = {"column": name, "value_set": values, "mostly": mostly}
    return _expectation("expect_column_values_to_be_in_set", kwargs, severity, action)


def _expectation(kind: str, kwargs: Mapping[str, Json], severity: str, action: str) -> dict[str, Json]:
    meta: dict[str, Json] = {"action": action}
    mostly = kwargs.get("mostly")
    if isinstance(mostly, float) and mostly < 1.0:
        meta["tolerated"] = True
    return {"type": kind, "kwargs": dict(kwargs), "severity": severity, "meta": meta}


def _to_look_at(found: Profile, split: Mapping[str, Json]) -> list[str]:
    looked_for = f", looked for: {found.classes[-1]}" if found.problem == "binary" else ""
    classes = f" (classes {', '.join(found.classes)}{looked_for})" if found.classes else ""
    key = f"the column {found.id}" if found.id else "its place in the file: no column is different in each row"
    lines = [
        f"predicted is {found.target}{classes}; another column: TARGET=...",
        f"a row is known by {key}",
        f"its time is {found.time}" if found.time else "rows have no time",
        "the split is by time"
        if split["kind"] == "time"
        else "the split is by chance, with the same shares of the target",
    ]
    if formats := {name: facts["format"] for name, facts in found.columns.items() if "format" in facts}:
        lines.append(f"timestamps are read as {formats}: are day and month the right way round?")
    if found.excluded:
        lines.append(f"not learned from: {'; '.join(f'{name} ({why})' for name, why in found.excluded.items())}")
    if found.suspects:
        lines.append(
            f"nearly tell the target by themselves: {', '.join(found.suspects)}. If they are known only afterwards, "
            "name them under features.exclude"
        )
    wide = [
        name for name in found.features if len(found.groups[0]["columns"][name].get("shares", ())) >= MAX_CATEGORIES
    ]
    if wide:
        lines.append(f"have very many values, the rare ones become 'other': {', '.join(wide)}")
    return [*lines, "gates, owner, schedule and expectations are first guesses: see model.yaml and expectations/"]


def _write(path: Path, content: object) -> None:
    path.write_text(json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False) + "\n", encoding="utf-8")


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--name", required=True)
    parser.add_argument("--kind", required=True, choices=["binary", "multiclass", "regression"])
    parser.add_argument("--data", type=Path, required=True, help="a CSV file with a header line, plain or .gz")
    parser.add_argument("--target", help="the column to predict; the last one unless given")
    arguments = parser.parse_args(argv)
    try:
        lines = new_model(arguments.name, arguments.kind, arguments.data, arguments.target)
    except (JobError, ConfigError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(f"wrote include/models/{arguments.name}/. Look at it before you trust it:")
    print("\n".join(f"  - {line}" for line in lines))
    print(f"\nNext: make run MODEL={arguments.name} DATA={arguments.data.parent}")
    print(f"      make run MODEL={arguments.name}      (data made up from the profile)")
    return 0


if __name__ == "__main__":
    sys.exit(main())
