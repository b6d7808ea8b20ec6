"""What a candidate is held to: the sections ``gates`` and ``champion``."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from .common import Section


class Gate(Section):
    """An absolute bound on a metric of the test split; at least one of min and max."""

    metric: Annotated[str, Field(pattern=r"^[a-z0-9_]+$")]
    min: float | None = None
    max: float | None = None

    @model_validator(mode="after")
    def bounds_something(self) -> Self:
        if self.min is None and self.max is None:
            raise ValueError("a gate needs min or max")
        for bound in (self.min, self.max):
            if bound is not None and self.metric in UNIT_METRICS and not 0 <= bound <= 1:
                raise ValueError(f"{self.metric} lies between 0 and 1; the bound {bound} is out of range")
        return self


UNIT_METRICS = frozenset(
    {"accuracy", "macro_f1", "f1", "precision", "recall", "roc_auc", "pr_auc", "specificity", "failure_events_caught"}
)


class Champion(Section):
    """The approved model must not be better than the candidate by more than ``margin`` on the same test split."""

    metric: Annotated[str, Field(pattern=r"^[a-z0-9_]+$")]
    direction: Literal["minimize", "maximize"]
    margin: Annotated[float, Field(ge=0, le=1e6)]
