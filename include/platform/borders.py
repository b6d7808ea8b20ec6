"""Where free text crosses into AWS, whose alphabets are smaller: one function per border.

Reasons, owners, file names, labels and descriptions are free text in this repository. What AWS would reject is replaced
here and nowhere else; S3 keeps the full text where it matters. (Athena's columns: ``include.models.config``; names in
MLflow: ``include.jobs.mlflow``.)
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping

MOST_METADATA = 50  # entries that the Model Registry keeps with a version
LONGEST_KEY, LONGEST_VALUE = 128, 256  # of a tag and of a metadata entry
LONGEST_DESCRIPTION = 1024
LONGEST_SUBJECT = 100
LONGEST_MESSAGE = 250_000  # bytes; SNS takes 256 KiB including the envelope
_PLAIN = "_.:/=+-@"


def model_group(model: str) -> str:
    """The name of a model's package group: letters, digits and ``-``."""
    return model.replace("_", "-")


def metadata(entries: Mapping[str, object]) -> dict[str, str]:
    """CustomerMetadataProperties of a model package: letters, digits, blanks and ``_.:/=+-@``, 50 entries of 256
    characters. Names that collide are numbered; entries without a value are left out."""
    reduced: dict[str, str] = {}
    for key, value in entries.items():
        if value not in (None, "") and len(reduced) < MOST_METADATA:
            reduced[_unused(_name(key), reduced)] = _text(str(value))[:LONGEST_VALUE].strip() or "_"
    return reduced


def metadata_id(text: str) -> str:
    """Encodes an identifier for metadata; ``original_id`` decodes it. Characters outside the alphabet become
    ``=7E``."""
    return re.sub(r"[^\w.:/+@-]", lambda found: "".join(f"={byte:02X}" for byte in found[0].encode()), text, flags=re.A)


def original_id(text: str) -> str:
    encoded = re.sub(rb"=([0-9A-F]{2})", lambda found: bytes.fromhex(found[1].decode()), text.encode())
    return encoded.decode(errors="replace")


def tag_list(tags: Mapping[str, str]) -> list[dict[str, str]]:
    """Tags of any AWS resource: the same alphabet as metadata."""
    reduced: dict[str, str] = {}
    for key, value in tags.items():
        reduced[_unused(_name(key), reduced)] = _text(value)[:LONGEST_VALUE].strip()
    return [{"Key": key, "Value": value} for key, value in reduced.items()]


def description(text: str) -> str:
    """A description in SageMaker or CloudWatch: one line of at most 1024 characters, without control characters."""
    visible = "".join(character if character.isprintable() else " " for character in text)
    return " ".join(visible.split())[:LONGEST_DESCRIPTION]


def mail(subject: str, message: str) -> tuple[str, str]:
    """Subject and text of a notification by SNS: one line of at most 100 characters, at most 256 KiB."""
    cut = message.encode()[:LONGEST_MESSAGE].decode(errors="ignore")
    if cut != message:
        cut += "\n\n(cut: the full text is in the task's log)"
    return description(subject)[:LONGEST_SUBJECT] or "(no subject)", cut or "(no text)"


def _text(value: str) -> str:
    """Replaces characters outside AWS's alphabet by blanks, and runs of blanks by one."""
    composed = unicodedata.normalize("NFC", value)
    return " ".join("".join(one if _is_taken(one) else " " for one in composed).split())


def _name(key: str) -> str:
    return _text(key).replace(" ", "_")[:LONGEST_KEY] or "_"


def _is_taken(character: str) -> bool:
    """``\\p{L}\\p{Z}\\p{N}_.:/=+-@``, except for line and paragraph separators."""
    return character in _PLAIN or unicodedata.category(character)[0] in "LN" or unicodedata.category(character) == "Zs"


def _unused(name: str, used: Mapping[str, str]) -> str:
    number = 2
    unused = name
    while unused in used:
        unused = f"{name[: LONGEST_KEY - 4]}_{number}"
        number += 1
    return unused
