"""``make new-model``: a model folder from a CSV or Excel file, ready to run.

    python -m include.models.tabular.new_model --name N --kind binary|multiclass|regression --data FILE
        [--target COLUMN] [--positive CLASS] [--encoding NAME] [--assume yes]

Writes ``models/<name>/``: model.yaml, a first suite of expectations for the raw table and for the features, and
profile.json, from which data is generated if none is given. The target is the last column unless ``--target`` names
another; the row's identifier, its time, and columns that cannot be learned from are inferred and reported for review.
What is nearly a number or a time is reported too, with what model.yaml would declare; ``--assume yes`` declares it
where it is certain.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import re
import shlex
import shutil
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import cast

import polars as pl
import yaml

from include.models.config import MODELS_FOLDER, ConfigError, Json, load_model
from include.models.config.files import PACKINGS, PARQUET
from include.models.config.json_schema import EDITOR_LINE
from include.models.config.names import refusal as name_refusal
from include.models.errors import JobError
from include.models.raw.kinds import MAX_CATEGORIES
from include.models.raw.other_formats import LOOKED_AT, other_format
from include.models.raw.times import COUNTED
from include.models.tabular.column_profile import AS_FOUND, FirstLook, Profile, Wishes, first_look, is_looked_for
from include.models.tabular.first_gates import champion_rule, first_gates, placeholder_gates
from include.models.tabular.first_look.times import is_ordered
from include.models.tabular.first_suites import feature_suite, raw_suite
from include.models.tabular.simulate import FILE as PROFILE_FILE

TABLE = "rows"
ENDINGS = (".csv", ".tsv", ".txt", ".data", ".xlsx")
MOST_SHOWN = 12  # columns, where there are many
TEST_SHARE, VALIDATION_SHARE = 0.2, 0.15
DAY_SECONDS = 24 * 3600
WHOLE_DAYS = 20  # from this many days on, a split is in whole days


def new_model(
    name: str, problem: str, file: Path, wishes: Wishes = AS_FOUND, folder: Path = MODELS_FOLDER
) -> list[str]:
    """Writes the folder; returns notes for review, as sentences.

    Raises:
        JobError: the folder exists already, the name is invalid, or the file does not fit the problem.
    """
    if why := name_refusal(name):
        raise JobError(f"NAME={name} cannot be a model's name: {why}.")
    home = folder / name
    if home.exists():
        raise JobError(f"include/models/{name} exists already; nothing was written. Choose another NAME, or remove it.")
    table_file = _table_file(file)
    seen = first_look(file, problem, wishes)
    found = seen.profile
    if not found.features:
        raise JobError(_nothing_to_learn_from(file, seen))
    split, why = _split(seen)
    try:
        home.mkdir()
        gates = placeholder_gates(problem)
        _write_yaml(home, _model_yaml(name, table_file, seen, split, gates))
        suites = home / "expectations"
        suites.mkdir()
        _write(suites / f"{TABLE}.json", {"name": TABLE, "expectations": raw_suite(found, seen.frame)})
        _write(suites / "features.json", {"name": "features", "expectations": feature_suite(found, seen.frame)})
        _write(home / PROFILE_FILE, asdict(found))
        load_model.cache_clear()  # in case a folder of that name existed before
        gates, said = first_gates(load_model(name, folder), found, seen.frame)
        _write_yaml(home, _model_yaml(name, table_file, seen, split, gates))
        load_model.cache_clear()
        load_model(name, folder)
    except BaseException:
        shutil.rmtree(home, ignore_errors=True)  # half a folder would be an invalid model
        raise
    return _to_look_at(seen, [why, *said])


def _nothing_to_learn_from(file: Path, seen: FirstLook) -> str:
    found = seen.profile
    others = {found.id: "tells rows apart", found.time: "tells their time"} | found.excluded
    why = "; ".join(f"{name}: {reason}" for name, reason in others.items() if name)
    offers = [offer for offer in seen.look.offers.values() if offer.is_sure]
    hints = "".join(f" {offer.said} (ASSUME=yes reads it so)." for offer in offers)
    return f"{file.name} has no column to learn from besides {found.target}: {why}.{hints}"


def _table_file(file: Path) -> str:
    """The file's name in model.yaml, valid in storage keys."""
    name = re.sub(r"[^\w.-]+", "_", _unpacked_name(file.name)).strip("_")
    if re.fullmatch(r"[\w.-]+", name) and name.endswith(ENDINGS):
        return name
    if file.is_dir():
        raise JobError(f"DATA={file} is a folder; name the file in it that has the rows.")
    with contextlib.suppress(OSError), file.open("rb") as opened:
        if other := other_format(opened.read(LOOKED_AT)):
            raise JobError(f"DATA={file.name} is {other.what}, not delimited text. {other.action}")
    small = file.name.lower()
    likely = small if _unpacked_name(small).endswith(ENDINGS) else f"{file.stem}.csv"
    raise JobError(
        f"DATA={file.name}: a table's file ends in {', '.join(ENDINGS[:-1])} (each also .gz or .zst), {ENDINGS[-1]} or "
        f"{PARQUET}. Rename it: {likely}."
    )


def _unpacked_name(name: str) -> str:
    """A raw file's, as model.yaml has it: a .parquet file has the rows of the .csv file with its name."""
    name = name.removesuffix(next((packing for packing in PACKINGS if name.endswith(packing)), ""))
    return f"{name.removesuffix(PARQUET)}.csv" if name.endswith(PARQUET) else name


def _split(seen: FirstLook) -> tuple[dict[str, Json], str]:
    """By time if there is one, and every class occurs in each part; otherwise random. Returns the reason too."""
    found, frame = seen.profile, seen.frame
    by_chance: dict[str, Json] = {
        "kind": "random",
        "test_share": TEST_SHARE,
        "validation_share": VALIDATION_SHARE,
        "stratify": True,
    }
    said = "the split is random, with the same shares of the target"
    if found.time is None:
        return by_chance, said
    times = frame[found.time]
    if unknown := times.null_count():
        return by_chance, f"{said}: {found.time} is missing in {unknown:,} of {len(frame):,} rows"
    first, last = times.min(), times.max()
    days = (last - first).total_seconds() / DAY_SECONDS  # type: ignore[operator, union-attr] # datetimes
    test, validation = (_in_days(days * share) for share in (TEST_SHARE, VALIDATION_SHARE))
    age = frame.select((pl.lit(last) - pl.col(found.time)).dt.total_seconds() / DAY_SECONDS).to_series()
    masks = {
        "the last rows": age < test,
        "the first rows": age > test + validation,
        "those between": (age >= test) & (age <= test + validation),
    }
    for where, mask in masks.items():
        part = frame.filter(mask)
        if part.is_empty():
            return by_chance, f"{said}: by {found.time} there would be none of {where}"
        for one in found.classes:
            if not (part[found.target].cast(pl.String) == one).any():
                return by_chance, f"{said}: by {found.time} the class '{one}' would not be among {where}"
    order = "in which the file is ordered" if is_ordered(times) else "in which the file is not ordered"
    return (
        {"kind": "time", "test_days": test, "validation_days": validation},
        f"the split is by time: by {found.time}, {order}, the last {test:g} days are the test, {validation:g} before "
        "them the validation",
    )


def _in_days(days: float) -> float:
    """In whole days, or in two digits for short data."""
    if days * (1 / TEST_SHARE) >= WHOLE_DAYS and days >= 1:
        return round(days)
    return max(float(f"{days:.2g}"), 0.0001)


def _model_yaml(name: str, file: str, seen: FirstLook, split: Mapping[str, Json], gates: list[dict[str, Json]]) -> str:
    found = seen.profile
    columns: dict[str, Json] = {
        column: cast("Json", facts["declared"] if len(facts["declared"]) > 1 else facts["kind"])
        for column, facts in found.columns.items()
        if seen.moment is None or column != seen.moment.column
    }
    row_number = _free_name("row_number", found.columns)
    table: dict[str, Json] = {"file": file, **_form(seen), "columns": columns}
    table |= {"key": [found.id or row_number], "max_rejected_share": 0.02}
    if seen.moment:
        table["moment"] = {"column": seen.moment.column, "of": dict(seen.moment.of)}
    if found.id is None:
        table["row_number"] = row_number
    data: dict[str, Json] = {"tables": {TABLE: table}, "key": [found.id or row_number]}
    if found.time:
        data["time"] = found.time
    data["label"] = found.target
    if found.classes:
        data["classes"] = list(found.classes)
    champion = champion_rule(found.problem)
    judged: dict[str, Json] = {"gates": cast("Json", gates), "min_positives": _least_rows(found)}
    sections: list[tuple[str, dict[str, Json]]] = [
        (
            "",
            {
                "name": name,
                "description": f"{found.target} from {file}."[:300],
                "owner": "unowned",
                "problem": found.problem,
            },
        ),
        (
            "cron expressions in UTC; training only when triggered, scores and drift daily",
            {"schedule": {"train": None, "score": "0 1 * * *", "monitor": "30 13 * * *"}},
        ),
        ("raw tables, and the columns that are not features", {"data": data}),
        (
            "exclude what is known only afterwards; derive ratios, differences and products" + _suspicion(found),
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
        (
            "between the performance of a model of this file and that of a broken one; raise them to what you\n"
            "# need. The metric refuses shuffled labels, over one_rule a stump, learned_per_tested a truncated file,\n"
            "# dead_features a column that is constant, one_feature_alone a leak: see make sabotage",
            judged,
        ),
        ("against the last versions in production, on the same rows", {"champion": champion}),
        ("", {"serving": {"instance_type": "ml.m5.large"}}),
        ("a day's partition holds that day's rows", {"scoring": {"tables": [TABLE], "instance_type": "ml.m5.large"}}),
        (
            "of features against the training split, over the last scored days",
            {"monitoring": {"retrain": "on_performance"}},
        ),
    ]
    parts = [EDITOR_LINE]
    for comment, section in sections:
        text = yaml.safe_dump(section, sort_keys=False, allow_unicode=True, width=110)
        parts.append(f"# {comment}\n{text}" if comment else text)
    return "\n".join(parts)


def _form(seen: FirstLook) -> dict[str, Json]:
    """The file's format, where unusual."""
    form, usual = seen.form, type(seen.form)()
    facts: dict[str, Json] = {
        "delimiter": form.delimiter,
        "encoding": form.encoding,
        "skip_lines": form.skip_lines,
        "header": form.header,
    }
    return {name: value for name, value in facts.items() if value != getattr(usual, name)}


def _free_name(wanted: str, taken: Mapping[str, object]) -> str:
    return wanted if wanted not in taken else _free_name(f"{wanted}_2", taken)


def _features(found: Profile) -> dict[str, Json]:
    return {"exclude": list(found.excluded), "derived": []}


def _suspicion(found: Profile) -> str:
    if not found.suspects:
        return ""
    names = "\n#   ".join(json.dumps(name, ensure_ascii=False) for name in found.suspects)
    return (
        "\n# these nearly tell the target on their own; once they are excluded, a gate of one_feature_alone, max 0.995,"
        f"\n# refuses the next leak:\n#   {names}"
    )


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


def _least_rows(found: Profile) -> int:
    """Half of the test split's expected rows of the rarest class (for a regression: rows), at most ten."""
    rarest = min(group["share"] for group in found.groups) if found.classes else 1.0
    return max(1, min(10, int(found.rows * rarest * TEST_SHARE / 2)))


def _to_look_at(seen: FirstLook, why: list[str]) -> list[str]:
    found = seen.profile
    key = f"the column {found.id}" if found.id else "its place in the file: no column is different in each row"
    lines = [
        f"the target is {found.target}{_classes_said(found)}; another column: TARGET=...",
        f"rows are identified by {key}",
        f"its time is {found.time}" if found.time else "rows have no time",
        *why,
        *seen.said,
    ]
    if found.time and _tells_no_zone(found.columns[found.time]["declared"].get("format")):
        lines.append(f"{found.time} is assumed to be in UTC")
    if found.excluded:
        lines.append(f"not learned from: {_some([f'{name} ({why})' for name, why in found.excluded.items()], '; ')}")
    if found.suspects:
        lines.append(
            f"nearly determine the target on their own: {_some(found.suspects)}. If they are known only afterwards, "
            "name them under features.exclude in model.yaml"
        )
    wide = [
        name for name in found.features if len(found.groups[0]["columns"][name].get("shares", ())) >= MAX_CATEGORIES
    ]
    if wide:
        lines.append(f"have very many values, the rare ones become 'other': {_some(wide)}")
    return [*lines, "gates, owner, schedule and expectations are first guesses: see model.yaml and expectations/"]


def _some(names: Sequence[str], between: str = ", ") -> str:
    more = f"{between}and {len(names) - MOST_SHOWN:,} more: see model.yaml" if len(names) > MOST_SHOWN else ""
    return between.join(names[:MOST_SHOWN]) + more


def _classes_said(found: Profile) -> str:
    if not found.classes:
        return ""
    names = f"classes {', '.join(found.classes)}"
    if found.problem != "binary":
        return f" ({names})"
    other, looked_for = found.classes
    why = "its name says so" if is_looked_for(looked_for, found.classes) else "the rarer one, or as requested"
    return f" ({names}, positive: {looked_for}, {why}; to swap: POSITIVE={shlex.quote(other)})"


def _tells_no_zone(form: object) -> bool:
    return str(form) not in COUNTED and "%z" not in str(form)


def _write_yaml(home: Path, text: str) -> None:
    (home / "model.yaml").write_text(text, encoding="utf-8")


def _write(path: Path, content: object) -> None:
    path.write_text(json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False) + "\n", encoding="utf-8")


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--name", required=True)
    parser.add_argument("--kind", required=True, choices=["binary", "multiclass", "regression"])
    parser.add_argument("--data", type=Path, required=True, help="a CSV file (.gz, .zst), .xlsx or .parquet")
    parser.add_argument("--target", help="the column to predict; the last one unless given")
    parser.add_argument("--positive", help="the positive class of two; by default the one that its name suggests")
    parser.add_argument("--encoding", help="of the file, if it is not UTF-8")
    parser.add_argument(
        "--assume", choices=["yes", "no"], default="no", help="accept what is nearly certain about the file"
    )
    arguments = parser.parse_args(argv)
    wishes = Wishes(arguments.target, arguments.positive, arguments.encoding, arguments.assume == "yes")
    try:
        lines = new_model(arguments.name, arguments.kind, arguments.data, wishes)
    except (JobError, ConfigError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(f"wrote include/models/{arguments.name}/. Look at it before you trust it:")
    print("\n".join(f"  - {line}" for line in lines))
    print(f"\nTo create it again: rm -r include/models/{arguments.name}, then the same command")
    print(f"Next: make run MODEL={arguments.name} DATA={shlex.quote(str(arguments.data))}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
