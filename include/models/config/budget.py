"""What may be spent on a model without asking."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from .common import Section

Usd = Annotated[float, Field(ge=0)]


class Budget(Section):
    """USD that jobs may be estimated at. A training or tuning above ``per_run`` stops before anything is paid for; a
    backfill above ``per_backfill`` asks a person. Both hold what a month has cost so far to ``per_month``, too. Daily
    scoring goes on whatever it costs; an unknown price is above nothing."""

    per_run: Usd = 20
    per_backfill: Usd = 20
    per_month: Usd | None = None
