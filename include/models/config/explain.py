"""Why a row has its prediction: the section ``explain``."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from .common import Section


class Explain(Section):
    """With this section the published scores have a column ``reasons``: the ``reasons`` features that contribute most
    to a row's prediction, up or down. At most ``rows`` of a day are explained, those with the highest risk (the
    probability of any class but the first, or a regression's value) that are ``above`` the limit. Endpoints explain on
    request."""

    reasons: Annotated[int, Field(ge=1, le=20)] = 3
    rows: Annotated[int, Field(ge=1, le=1_000_000)] = 1000
    above: float | None = None
