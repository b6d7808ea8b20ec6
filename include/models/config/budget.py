"""How much may be spent on a model without asking."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from .common import Section

Usd = Annotated[float, Field(ge=0)]


class Budget(Section):
    """Limits of estimated job costs in USD. A training or tuning above ``per_run`` stops before anything is paid for; a
    backfill above ``per_backfill`` asks for approval. Both also count the month's costs so far against ``per_month``.
    Daily scoring continues whatever it costs; an unknown price counts as within the budget."""

    per_run: Usd = 20
    per_backfill: Usd = 20
    per_month: Usd | None = None
