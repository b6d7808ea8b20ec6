"""What is watched once a model scores: the section ``monitoring``."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from .common import Section


class Monitoring(Section):
    """When a model's features have drifted from what it was trained on, and what is done about it.

    The features of the last ``window_days`` scored days, taken together, are held against the training split of the
    version that scored them. A feature has drifted where its population stability index is above ``max_psi`` (0.1 is
    commonly called a slight, 0.25 a great change), and the model has where at least ``drifted_features`` have.
    Windows of fewer than ``min_rows`` rows are shown, not judged. ``ignored`` features are expected to move.
    ``retrain``: whether a drift starts ``train_<model>``, once for each version; people are told in any case.
    """

    window_days: Annotated[int, Field(ge=1, le=90)] = 7
    min_rows: Annotated[int, Field(ge=100)] = 500
    max_psi: Annotated[float, Field(gt=0, le=10)] = 0.25
    drifted_features: Annotated[int, Field(ge=1, le=10_000)] = 1
    ignored: list[str] = []
    retrain: bool = False
