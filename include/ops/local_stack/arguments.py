"""Checks make's arguments before anything is set up or started: ``arguments.py <target>``.

The values are in the environment, as make exports them. The exit status is 1, after one sentence, where one cannot be
used. This runs in the first seconds of a fresh checkout, when no environment has been made yet: it imports nothing but
Python's own library, and runs ``models/config/names.py``, which needs no more. What only the stack knows (which days
have data, which versions there are) is found later.
"""

from __future__ import annotations

import os
import re
import runpy
import sys
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, date, datetime
from difflib import get_close_matches
from pathlib import Path

INCLUDE = Path(__file__).resolve().parents[2]
MODELS, ENVIRONMENTS = INCLUDE / "models", INCLUDE / "ops" / "mwaa" / "environments"
ENDINGS = ("csv", "tsv", "txt", "data", "xlsx")  # of a table's file
# as in models.config.files, which this module must not need: it runs before anything is installed
PACKINGS, PARQUET = (".gz", ".zst"), ".parquet"
STORED = "plain, .gz, .zst or .parquet"
KINDS = ("binary", "multiclass", "regression")
LONGEST_RANGE = 3660  # days; more is probably a mistyped year
Given = Mapping[str, str]
name_refusal: Callable[[str], str | None] = runpy.run_path(str(MODELS / "config" / "names.py"))["refusal"]


class ArgumentsError(Exception):
    """An invalid argument: the message says which, and what is allowed."""


def check_model(name: str, models: Path = MODELS) -> str:
    """Checks the name of a model.

    Raises:
        ArgumentsError: there is no such model.
    """
    known = sorted(path.parent.name for path in models.glob("*/model.yaml"))
    if name in known:
        return name
    near = get_close_matches(name, known, 1)
    meant = f"Did you mean {near[0]}? " if near else ""
    raise ArgumentsError(f"there is no model {name!r}. {meant}Models are {', '.join(known)}")


def check_day(name: str, text: str, today: date | None = None) -> date:
    """Parses a day.

    Raises:
        ArgumentsError: it is not a day, or has not ended.
    """
    today = today or datetime.now(UTC).date()
    if not text:
        raise ArgumentsError(
            f"{name} is missing: give the first and the last day, such as FROM=2015-06-01 TO=2015-06-30"
        )
    if not re.fullmatch(r"\d{4}-\d{2}-\d{2}", text):
        raise ArgumentsError(f"{name}={text} is not a day; write it as 2015-06-01")
    try:
        day = date.fromisoformat(text)
    except ValueError as error:
        raise ArgumentsError(f"{name}={text} is not a day: {error}") from None
    if day > today:
        raise ArgumentsError(f"{name}={text} is in the future; is the year right? Today is {today}")
    return day


def check_days(first: str, last: str, today: date | None = None) -> tuple[date, date]:
    """The first and the last day of a range.

    Raises:
        ArgumentsError: one is not a day, they are in the wrong order, or years apart.
    """
    start, end = check_day("FROM", first, today), check_day("TO", last, today)
    if start > end:
        raise ArgumentsError(f"FROM={first} is after TO={last}")
    if (days := (end - start).days + 1) > LONGEST_RANGE:
        most = f"at most {LONGEST_RANGE:,} are allowed at once"
        raise ArgumentsError(f"FROM={first} to TO={last} are {days:,} days; {most}. Is the year right?")
    return start, end


def check_version(text: str) -> str:
    """A version to score with: ``champion_at``, ``current``, or a number.

    Raises:
        ArgumentsError: it is none of these.
    """
    if text in ("champion_at", "current") or re.fullmatch(r"[1-9][0-9]*", text):
        return text
    raise ArgumentsError(f"VERSION={text} is not a version; allowed are champion_at, current or a number such as 3")


def check_port(text: str) -> int:
    """Raises ArgumentsError: it is not a port that users may listen on."""
    if not text.isdecimal() or not 1024 <= int(text) < 65536:
        raise ArgumentsError(f"PORT={text} is not a port; allowed is a number from 1024 to 65535, such as 8765")
    return int(text)


def table_files(model_yaml: str) -> list[str]:
    """The raw files that a model.yaml names, found in its text."""
    return re.findall(rf"\bfile:\s*[\"']?([\w.-]+\.(?:{'|'.join(ENDINGS)}))\b", model_yaml)


def stored_names(file: str) -> tuple[str, ...]:
    """The possible names of a table's stored file."""
    return (file, *(file + ending for ending in PACKINGS), file.rpartition(".")[0] + PARQUET)


def check_data(path: Path, wanted: Iterable[str]) -> dict[str, Path]:
    """The files to read, by their names in the model: those in a folder, or a single file for a model with a single
    table, whatever its name.

    Args:
        wanted: the model's raw files; each may be packed, or Parquet.

    Raises:
        ArgumentsError: there is no such file or folder, or it has none of the model's files.
    """
    wanted = list(wanted)
    named = ", ".join(wanted)
    if path.is_file():
        if any(path.name in stored_names(each) for each in wanted):
            return {path.name: path}
        if len(wanted) > 1:
            raise ArgumentsError(f"DATA={path} is one file, but the model reads {named}: name the folder that has them")
        name, suffix = path.name.lower(), path.suffix.lower()
        if suffix == PARQUET:
            return {stored_names(wanted[0])[-1]: path}
        packing = suffix if suffix in PACKINGS else ""
        ending, expected = (one.rpartition(".")[2] for one in (name.removesuffix(packing), wanted[0].lower()))
        if ending not in ENDINGS or (ending == "xlsx") != (expected == "xlsx"):
            raise ArgumentsError(f"DATA={path} is not a file that the model reads: {named}, {STORED}")
        return {wanted[0] + packing: path}
    if not path.exists():
        raise ArgumentsError(f"DATA={path} does not exist: name a folder that has {named}, or such a file")
    found = {name: path / name for each in wanted for name in stored_names(each) if (path / name).is_file()}
    if not found:
        there = sorted(file.name for file in path.iterdir()) if path.is_dir() else []
        shown = f"it has {', '.join(there[:5])}{' ...' if len(there) > 5 else ''}" if there else "it is empty"
        raise ArgumentsError(f"DATA={path} has none of {named} ({STORED}): {shown}")
    return found


def check_run(given: Given) -> None:
    model = check_model(given["MODEL"])
    if data := given.get("DATA"):
        check_data(
            Path(data), table_files((MODELS / model / "model.yaml").read_text(encoding="utf-8", errors="replace"))
        )


def check_new_model(given: Given) -> None:
    for name in ("NAME", "KIND", "DATA"):
        if not given.get(name):
            raise ArgumentsError(f"{name} is missing: make new-model NAME=... KIND={'|'.join(KINDS)} DATA=file.csv")
    if why := name_refusal(given["NAME"]):
        raise ArgumentsError(f"NAME={given['NAME']} cannot be a model's name: {why}")
    if (MODELS / given["NAME"]).exists():
        raise ArgumentsError(f"NAME={given['NAME']} is taken: include/models/{given['NAME']} exists already")
    if given["KIND"] not in KINDS:
        raise ArgumentsError(f"KIND={given['KIND']} is not one of {', '.join(KINDS)}")
    if given.get("ASSUME", "no") not in ("yes", "no"):
        raise ArgumentsError(f"ASSUME={given['ASSUME']} is neither yes nor no")
    if not Path(given["DATA"]).exists():
        raise ArgumentsError(f"DATA={given['DATA']} does not exist: name a file of raw data")
    if not Path(given["DATA"]).is_file():
        raise ArgumentsError(f"DATA={given['DATA']} is not a file: a model is created from one file of raw data")


def check_promote(given: Given) -> None:
    check_model(given["MODEL"])


def check_serve(given: Given) -> None:
    check_model(given["MODEL"])
    check_port(given.get("PORT") or "8765")


def check_score(given: Given) -> None:
    model = check_model(given["MODEL"])
    if not (data := given.get("DATA")):
        raise ArgumentsError("DATA is missing: make score MODEL=... DATA=file.csv, or a folder of the model's tables")
    files = table_files((MODELS / model / "model.yaml").read_text(encoding="utf-8", errors="replace"))
    check_data(Path(data), files[:1] if Path(data).is_file() else files)
    if given.get("MODE", "job") not in ("job", "endpoint"):
        raise ArgumentsError(f"MODE={given['MODE']} is neither job (the artifact, here) nor endpoint (production's)")


def check_scores(given: Given) -> None:
    check_model(given["MODEL"])
    if not given.get("DAY"):
        raise ArgumentsError("DAY is missing: make scores MODEL=... DAY=2015-06-01 [OUT=file.csv or file.parquet]")
    check_day("DAY", given["DAY"])
    if (out := given.get("OUT")) and Path(out).suffix.lower() not in (".csv", ".parquet"):
        raise ArgumentsError(f"OUT={out} is neither a .csv nor a .parquet file")


def check_environment(given: Given) -> None:
    known = sorted(path.stem for path in ENVIRONMENTS.glob("*.yaml"))
    if (name := given.get("ENV", "")) not in known:
        what = f"ENV={name} is not an environment" if name else "ENV is missing"
        raise ArgumentsError(f"{what}; there are {', '.join(known)}")


def check_health(given: Given) -> None:
    if given.get("ENV"):  # without it the laptop's stack is meant
        check_environment(given)


def check_backfill(given: Given) -> None:
    check_model(given["MODEL"])
    check_days(given.get("FROM", ""), given.get("TO", ""))
    check_version(given.get("VERSION") or "champion_at")


CHECKS: Mapping[str, Callable[[Given], None]] = {
    "run": check_run,
    "new-model": check_new_model,
    "promote": check_promote,
    "backfill": check_backfill,
    "health": check_health,
    "costs": check_health,
    "infra": check_environment,
    "destroy": check_environment,
    "deploy": check_environment,
    "iam-test": check_promote,
    "compose-test": check_promote,
    "serve": check_serve,
    "score": check_score,
    "scores": check_scores,
}


def main(target: str, given: Given) -> int:
    try:
        CHECKS[target](given)
    except ArgumentsError as error:
        print(f"error: {error}{'' if str(error).endswith('?') else '.'}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], os.environ))
