"""A version's model, predicting in its own process, which runs the code that the version was trained with.

So a day in one job gets its predictions from exactly the code that an endpoint and a transform job use, whatever code
builds the day's features.
"""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Self

from include.models.errors import JobError

PROGRAM = Path(__file__).with_name("answering.py")


class Predictor:
    """Predicts files of rows; a context manager that ends the process. The model loads in the background.

    Args:
        artifact: folder of the unpacked model.tar.gz.
        key: how many columns precede the features in the rows.
    """

    def __init__(self, artifact: Path, key: int) -> None:
        self._artifact, self._key = artifact, key
        self._process = self._start()

    def _start(self) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-P", str(PROGRAM), str(self._artifact), str(self._key)],
            env={**os.environ, "PYTHONPATH": str(self._artifact / "code")},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()  # there is nothing to finish
        self._process.communicate()

    def answer(self, rows: Path) -> None:
        """Writes ``<rows>.out``: the key and the prediction of each row.

        Raises:
            JobError: the version's code cannot load the model, or fails on these rows.
        """
        if self._process.poll() is not None:  # it failed on another day's rows
            self._process = self._start()
        to, answers = self._process.stdin, self._process.stdout
        assert to is not None and answers is not None  # noqa: PT018, S101 - both are pipes
        with suppress(BrokenPipeError):  # then there is no answer either
            print(rows, file=to, flush=True)
        if answers.readline().strip() != "done":
            raise JobError(
                f"the version's own code in model.tar.gz failed to predict {rows.name} (exit status "
                f"{self._process.wait()}); the reason is above in the job's log. If the code is too old for this "
                "image, score with another version."
            )
