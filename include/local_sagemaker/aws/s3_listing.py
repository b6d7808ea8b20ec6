"""What a bucket lists after a name: its keys, those below a delimiter as one folder, read from the rows' index."""

from __future__ import annotations

import base64
import pickle
from collections.abc import Iterator
from typing import TYPE_CHECKING

from moto.s3.exceptions import InvalidContinuationToken

from include.local_sagemaker.aws.s3_rows import LAST, Keys

if TYPE_CHECKING:
    from include.local_sagemaker.aws.s3_backend import StoredKey

_BATCH, _BATCH_OF_FOLDERS = 1000, 50  # rows read at a time; with folders, most are skipped


def walk(keys: Keys, prefix: str, delimiter: str, after: str) -> Iterator[StoredKey | str]:
    """Keys, and folders as strings, in order of name."""
    if after and _folder(after, prefix, delimiter) == after:
        after += LAST  # its content was listed as the folder
    while page := keys.page(prefix, after, _BATCH_OF_FOLDERS if delimiter else _BATCH):
        for name, state in page:
            after = name
            if folder := _folder(name, prefix, delimiter):
                yield folder
                after = folder + LAST
                break
            yield pickle.loads(state)[-1]  # noqa: S301 - our own row


def _folder(name: str, prefix: str, delimiter: str) -> str:
    """The name up to the first delimiter after the prefix, or "" if there is none."""
    if not delimiter or not name.startswith(prefix):
        return ""
    head, found, _ = name[len(prefix) :].partition(delimiter)
    return prefix + head + found if found else ""


def write_token(name: str) -> str:
    return base64.urlsafe_b64encode(name.encode()).decode()


def read_token(token: str) -> str:
    try:
        return base64.urlsafe_b64decode(token.encode()).decode()
    except ValueError as error:
        raise InvalidContinuationToken from error
