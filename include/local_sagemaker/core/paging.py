"""Pages of documents that are filtered or ordered by fields that the store does not index."""

import base64
import binascii
import json
from collections.abc import Callable, Iterable

from include.local_sagemaker.core.errors import ValidationException
from include.local_sagemaker.core.store import Json

type Part = str | float
type Key = Callable[[Json], tuple[Part, ...]]


def page(documents: Iterable[Json], request: Json, key: Key, *, descending: bool) -> tuple[list[Json], str | None]:
    """The page that MaxResults (10) and NextToken ask for, and the token of the next; ``key`` must be unique.

    Raises:
        ValidationException: the token is not one of ours.
    """
    ordered = sorted(documents, key=key, reverse=descending)
    token = request.get("NextToken")
    if token is not None:
        last = _read(token)
        ordered = [one for one in ordered if _passed(key(one), last, descending=descending)]
    limit = request.get("MaxResults", 10)
    shown = ordered[:limit]
    return shown, _write(key(shown[-1])) if len(ordered) > limit else None


def _passed(key: tuple[Part, ...], last: tuple[Part, ...], *, descending: bool) -> bool:
    try:
        return key < last if descending else key > last
    except TypeError as error:
        raise ValidationException("Invalid NextToken") from error


def _write(key: tuple[Part, ...]) -> str:
    return base64.urlsafe_b64encode(json.dumps(key).encode()).decode()


def _read(token: str) -> tuple[Part, ...]:
    try:
        value = json.loads(base64.urlsafe_b64decode(token.encode()))
    except (ValueError, binascii.Error) as error:
        raise ValidationException("Invalid NextToken") from error
    if not isinstance(value, list):
        raise ValidationException("Invalid NextToken")
    return tuple(value)
