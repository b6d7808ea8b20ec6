"""Runs a program of the archive whose ``__main__`` this is: ``python code.zip include.jobs.train_model ...``.

A job downloads its code as one object. It is unpacked because programs read files beside them.
"""

from __future__ import annotations

import os
import runpy
import sys
import tempfile
import zipfile


def main(archive: str, program: str, *arguments: str) -> None:
    folder = tempfile.mkdtemp(prefix="code-")
    with zipfile.ZipFile(archive) as packed:
        packed.extractall(folder)
    sys.path[0] = folder
    os.environ["PYTHONPATH"] = folder  # inherited by processes that the program starts
    sys.argv = [program, *arguments]
    runpy.run_module(program, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main(*sys.argv)
