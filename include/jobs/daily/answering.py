"""Predicts rows with a version's own model and code: started by ``predictor``, with the version's code on its path.

    PYTHONPATH=<artifact>/code python -P answering.py <artifact> <columns of the key>

For each line of standard input, the path of rows to score as build_features writes them, it writes ``<path>.out``, like
a transform job that keeps the key beside each prediction, and prints ``done``. Of the project's code it may import only
what every version contains.
"""

from __future__ import annotations

import csv
import io
import os
import sys
import traceback
from itertools import islice
from pathlib import Path
from types import TracebackType

from include.jobs.serving.artifact import LoadedModel, load_artifact
from include.jobs.serving.payload import CSV, parse, render

ROWS_AT_ONCE = 100_000


def answer(loaded: LoadedModel, rows: Path, key: int) -> None:
    """Writes the predictions beside the rows."""
    target = rows.with_name(f"{rows.name}.out")
    with rows.open(encoding="utf-8", newline="") as given, target.open("w", encoding="utf-8", newline="") as answers:
        lines = csv.reader(given)
        while block := list(islice(lines, ROWS_AT_ONCE)):
            body = io.StringIO(newline="")
            csv.writer(body, lineterminator="\n").writerows(line[key:] for line in block)
            asked = parse(body.getvalue().encode(), CSV, loaded.columns)
            found = loaded.answers(asked)
            if hasattr(loaded, "explained"):  # older versions give no reasons
                found = loaded.explained(asked, found)
            said = render(found, CSV)
            joined = zip(block, csv.reader(io.StringIO(said, newline="")), strict=True)
            csv.writer(answers, lineterminator="\n").writerows([*line[:key], *cells] for line, cells in joined)


def _without_message(kind: type[BaseException], _: BaseException, trace: TracebackType | None) -> None:
    """Logs a failure if values may not be quoted: like ``models.quoting``, which older versions lack."""
    print(f"{kind.__name__}; its message may quote values, and is not shown", file=sys.stderr)
    traceback.print_tb(trace)


def main() -> None:
    if os.environ.get("QUOTE_VALUES") == "no":
        sys.excepthook = _without_message
    # what the model's libraries print must not be taken for an answer
    replies = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    artifact, key = Path(sys.argv[1]), int(sys.argv[2])
    loaded = load_artifact(artifact)
    for line in sys.stdin:
        answer(loaded, Path(line.rstrip("\n")), key)
        print("done", file=replies, flush=True)


if __name__ == "__main__":
    main()
