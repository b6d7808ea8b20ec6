"""How rows are split into train, validation and test: the section ``split``."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal, Self

from pydantic import BeforeValidator, Discriminator, Field, Tag, model_validator

from .common import Section

Share = Annotated[float, Field(gt=0, lt=0.9)]


class Refit(Section):
    """Once its gates pass, the model is fitted again on all rows, including those held out, with the same number of
    rounds, and the result is registered. It must answer the golden requests like the evaluated model: within
    ``distance``, the mean over them of half the sum of the differences between probabilities or, for a regression, the
    mean difference as a share of the standard deviation of the evaluated model's predictions. ``true`` is all defaults,
    ``false`` none.
    """

    distance: Annotated[float, Field(gt=0, le=1)] = 0.1


def _refit(given: object) -> object:
    return ({} if given else None) if isinstance(given, bool) else given


RefitOrNot = Annotated[Refit | None, BeforeValidator(_refit, json_schema_input_type=bool | Refit)]


class TimeSplit(Section):
    """Train, validation and test by time, counted back from the last row; gaps keep labels from leaking across.

    ``train_days`` is the training window: older rows are not used. With ``rolling_origins`` the evaluation also refits
    the model at that many earlier ends of the data, ``test_days`` apart, and evaluates each refit on the following
    days: the performance of retraining at that pace. Intervals of metrics treat rows with the same values of
    ``cluster``, and those of the same ``block_days``, as dependent. ``refit``: see ``Refit``.
    """

    kind: Literal["time"] = "time"
    test_days: Annotated[float, Field(gt=0, le=3650)]
    validation_days: Annotated[float, Field(gt=0, le=3650)]
    gap_hours: Annotated[int, Field(ge=0, le=24 * 365)] = 0
    train_days: Annotated[int, Field(ge=1, le=3650)] | None = None
    cluster: list[str] = []
    block_days: Annotated[int, Field(ge=1, le=365)] | None = 1
    rolling_origins: Annotated[int, Field(ge=0, le=100)] = 0
    refit: RefitOrNot = None

    def held_out(self, test_days: float, validation_days: float, share: float | None = None) -> TimeSplit:
        """With at most this many days held out; with ``share``, with this many of some clusters."""
        if share:
            days = {"test_days": test_days, "validation_days": validation_days, "share": share}
            return ClusterSplit(**{**self.model_dump(), **days})
        shorter = {
            "test_days": min(test_days, self.test_days),
            "validation_days": min(validation_days, self.validation_days),
        }
        return self.model_copy(update=shorter)


class ClusterSplit(TimeSplit):
    """By time, but only a ``share`` of the clusters is held out for test, and as many others for validation; the rest
    is learned up to the newest row. For trainings that monitoring starts: model.yaml cannot choose it.
    """

    share: float


class RandomSplit(Section):
    """Train, validation and test at random, the same at every run: a row stays in its split as more rows arrive.

    Rows with the same values of ``group_by`` stay together: near-duplicates in two splits would make a model look
    better than it is. With ``stratify``, each split has about the overall share of every class (or distribution of
    values). Intervals of metrics treat rows with the same values of ``cluster`` as dependent; by default ``group_by``.
    ``refit``: see ``Refit``.
    """

    kind: Literal["random"]
    test_share: Share
    validation_share: Share
    group_by: list[str] = []
    cluster: list[str] = Field(default_factory=lambda given: given["group_by"])
    block_days: ClassVar[None] = None  # rows have no time here
    stratify: bool = False
    seed: int = 0
    refit: RefitOrNot = None

    @model_validator(mode="after")
    def leaves_rows_to_learn_from(self) -> Self:
        if self.test_share + self.validation_share > 0.9:
            raise ValueError("test_share and validation_share leave less than a tenth of the rows to learn from")
        return self


def _split_kind(given: object) -> str | None:
    return given.get("kind", "time") if isinstance(given, dict) else getattr(given, "kind", None)


Split = Annotated[
    Annotated[TimeSplit, Tag("time")] | Annotated[RandomSplit, Tag("random")],
    Discriminator(
        _split_kind,
        custom_error_type="split_kind",
        custom_error_message="kind is 'time' or 'random'",
    ),
]
