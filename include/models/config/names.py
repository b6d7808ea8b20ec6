"""What a model may be called. Its name becomes a Python package, a prefix in S3, a table of Athena and, with - for _,
names in SageMaker.

This needs Python's own library alone: make asks before anything is installed.
"""

from __future__ import annotations

import keyword
import re
import unicodedata
from pathlib import Path

NAME = r"^[a-z][a-z0-9_]{0,38}[a-z0-9]$"  # with - for _ a name in SageMaker, which ends in no -
LONGEST = 40
ALLOWED = f"2 to {LONGEST} lower-case letters, digits and _, a letter first, _ not at the end"
MODELS = Path(__file__).parents[1]


def taken(name: str) -> str | None:
    """What else has the name; None if nothing has."""
    if name == "file":
        return "the Dag score_file scores files of all models"
    if keyword.iskeyword(name):
        return "it is a word of Python, and the model's folder is a Python package"
    folder = MODELS / name
    if folder.with_suffix(".py").exists() or (
        (folder / "__init__.py").exists() and not (folder / "model.yaml").exists()
    ):
        return f"include.models.{name} is code of all models"
    return None


def nearest(text: str) -> str:
    """The nearest name that is allowed and that nothing else has."""
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode().lower()
    name = re.sub(r"[^a-z0-9]+", "_", plain).strip("_")
    name = (name if name[:1].isalpha() else f"model_{name}")[:LONGEST].rstrip("_")
    return name if len(name) > 1 and not taken(name) else f"{name}_model"


def refusal(name: str) -> str | None:
    """Why a model cannot be called this, and the nearest name that it can; None if it can."""
    why = f"allowed is {ALLOWED}"
    if re.fullmatch(NAME, name):
        if (other := taken(name)) is None:
            return None
        why = f"it is taken: {other}"
    return f"{why}. The nearest name is '{nearest(name)}'"
