"""Monitoring of a model that scores: the section ``monitoring``."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from .common import Section

GREAT = 0.25  # an index that is commonly called a large change


When = Literal["never", "on_performance", "on_drift", "schedule"]


class Retrain(Section):
    """When monitoring starts ``train_<model>``, and on which data; a single word is ``when``.

    ``when``: ``never``, ``on_performance`` (a loss, estimated or realised), ``on_drift`` (that or drift), or only by
    ``schedule.train`` (``schedule``). If rows are split by time, such a training holds out ``holdout_days`` for test
    and ``validation_days``, if ``split`` has more, and starts once the rest includes ``learn_days`` of the change that
    started it. It fails if the raw data does not reach that far.

    With ``holdout_share``, it holds out these days only of this share of the clusters (``split.cluster``), such as
    machines, and the ``validation_days`` of as many others: it learns up to the newest day from the rest, and the test
    can be long enough to judge rare classes. Such a test shows what a model makes of clusters whose last days it has
    not seen; only a test on later days shows how well it lasts.
    """

    when: When = "on_performance"
    holdout_days: Annotated[float, Field(gt=0, le=3650)] = 7
    validation_days: Annotated[float, Field(gt=0, le=3650)] = 3
    learn_days: Annotated[int, Field(ge=1, le=365)] = 1
    holdout_share: Annotated[float, Field(gt=0, le=0.25)] | None = None

    @property
    def held_out(self) -> list[float]:
        """What ``TimeSplit.held_out`` takes."""
        return [self.holdout_days, self.validation_days, *([self.holdout_share] if self.holdout_share else [])]


def _retrain(given: object) -> object:
    return {"when": given} if isinstance(given, str) else given


class Monitoring(Section):
    """When a day's verdict is drift or a loss of performance, and what follows.

    Watched are the days that are scored (section ``scoring``), and the requests that the production endpoint keeps
    (``serving.data_capture_percent``); a model has to have one of them. The last ``window_days`` days, taken together,
    are compared with the training of the version that scored them. A feature has drifted where its population stability
    index is above what windows of the training split itself reach; ``max_psi`` is one bound for all features instead
    (0.1 is commonly called a slight, 0.25 a great change). The model has drifted where at least ``drifted_features``
    have, or its predictions have. Windows of fewer than ``min_rows`` rows are not judged, except for faults of the
    data. ``ignored`` features are expected to move. ``max_loss`` is by how much performance may fall below the
    evaluation's (of a regression: its share).

    ``faults_before_scoring``: what it means for a day if one of its raw tables is faulty in itself, beside the days of
    training: a ``warning`` in its validation, or ``critical``, which stops its scoring; ``ignore`` leaves it to the
    day's verdict.

    ``retrain``: when ``train_<model>`` is started; never because of a data fault, and not again within
    ``cool_down_days``.
    """

    window_days: Annotated[int, Field(ge=1, le=90)] = 7
    min_rows: Annotated[int, Field(ge=100)] = 500
    max_psi: Annotated[float, Field(gt=0, le=10)] | None = None
    drifted_features: Annotated[int, Field(ge=1, le=10_000)] = 1
    ignored: list[str] = []
    max_loss: Annotated[float, Field(gt=0, lt=1)] = 0.03
    faults_before_scoring: Literal["ignore", "warning", "critical"] = "warning"
    retrain: Annotated[Retrain, BeforeValidator(_retrain, json_schema_input_type=When | Retrain)] = Retrain()
    cool_down_days: Annotated[int, Field(ge=0, le=365)] = 14
