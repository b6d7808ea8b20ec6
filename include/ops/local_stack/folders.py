"""Names for folders whose path is part of more than a path: of a URL, a list, a socket's address.

A stack may live in any folder. But libpq takes a comma for a list of hosts, a URL ends at "?" and decodes "%41", MLflow
escapes some of it and some not, and a socket's path is short. Such programs get a link to the folder with a plain name.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
from pathlib import Path

from include.ops.local_stack.processes import ProcessError

PLAIN = re.compile(r"[A-Za-z0-9/._-]+")
LONGEST = 85  # bytes; a socket's path, file name and all, has at most 103 on macOS, 107 on Linux


def plain_name(folder: Path) -> Path:
    """The folder, if its path is plain and short; otherwise the link to it that ``make_folder`` creates."""
    if PLAIN.fullmatch(str(folder)) and len(str(folder)) <= LONGEST:
        return folder
    digest = hashlib.sha256(os.fsencode(folder)).hexdigest()[:16]
    # not in TMPDIR: that may have the same problem, and may differ at the next start
    return Path("/tmp") / f"local-stack-{digest}"  # noqa: S108 - its owner is checked


def make_folder(folder: Path) -> None:
    """Creates the folder and its plain name, unless they exist. Only its owner may enter it.

    Raises:
        ProcessError: the name is taken, by another user for example.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    name = plain_name(folder)
    if name == folder:
        return
    with contextlib.suppress(FileExistsError):
        name.symlink_to(folder)
    if name.lstat().st_uid != os.geteuid() or name.resolve() != folder.resolve():
        raise ProcessError(
            f"{name} must be your link to {folder}, but is something else: remove it, or set LAPTOP_HOME to a "
            "short path of letters and digits"
        )
