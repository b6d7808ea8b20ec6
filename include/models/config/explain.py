"""Why a row has its answer: the section ``explain``."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from .common import Section


class Explain(Section):
    """With this section the published scores have a column ``reasons``: the ``reasons`` features that add the most to a
    row's answer, up or down. Explained are at most ``rows`` of a day, those with the highest risk (the probability of
    any class but the first, or a regression's value), and of them those ``above`` it. Endpoints explain when asked."""

    reasons: Annotated[int, Field(ge=1, le=20)] = 3
    rows: Annotated[int, Field(ge=1, le=1_000_000)] = 1000
    above: float | None = None
