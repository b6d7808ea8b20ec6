from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from include.registry.history import (
    Entry,
    History,
    HistoryConflictError,
    HistoryError,
    current,
    in_production_at,
    last_in_production,
    previous,
    promote,
    read_history,
    record_promotion,
    record_retirement,
)

BUCKET, MODEL = "bucket", "pumps"
MONDAY = datetime(2026, 11, 16, 12, tzinfo=UTC)
DAY = timedelta(days=1)


def entry(version: int, since: datetime) -> Entry:
    return Entry(
        version=version,
        model_package_arn=f"arn:aws:sagemaker:us-east-1:123456789012:model-package/pumps/{version}",
        artifact=f"s3://{BUCKET}/runs/train_pumps/{version}/model.tar.gz",
        since=since,
        endpoint_config=f"pumps-config-{version}",
        dag_id="deploy_pumps",
        run_id=f"run {version} of {since:%A}",
    )


def history(*versions: int) -> History:
    """A history of these versions, one a day; the last is still in production."""
    made = History()
    for day, version in enumerate(versions):
        made = promote(made, entry(version, MONDAY + day * DAY))
    return made


def test_every_moment_has_the_version_of_that_moment() -> None:
    past = history(1, 2)
    assert in_production_at(past, MONDAY - timedelta(seconds=1)) is None
    for moment, version in ((MONDAY, 1), (MONDAY + DAY - timedelta(seconds=1), 1), (MONDAY + DAY, 2)):
        found = in_production_at(past, moment)
        assert found is not None
        assert found.version == version
    now = current(past)
    assert now is not None
    assert (now.version, now.until) == (2, None)
    assert current(History()) is None


@pytest.mark.parametrize(
    ("versions", "back_to"),
    [((), None), ((1,), None), ((1, 2), 1), ((1, 2, 3, 2), 1), ((1, 2, 1), None), ((1, 2, 1, 3), 1), ((1, 2, 1, 2), 1)],
)
def test_a_rollback_never_goes_back_to_what_was_rolled_back_from(
    versions: tuple[int, ...], back_to: int | None
) -> None:
    found = previous(history(*versions))
    assert (found.version if found else None) == back_to


@pytest.mark.parametrize(
    ("versions", "count", "last"),
    [
        ((), 3, []),
        ((1, 2, 3), 2, [3, 2]),
        ((1, 2, 3), 9, [3, 2, 1]),
        ((1, 2, 3, 2), 3, [2, 1]),
        ((1, 2, 1, 3), 3, [3, 1]),
    ],
)
def test_a_candidate_is_compared_with_what_was_in_production_last(
    versions: tuple[int, ...], count: int, last: list[int]
) -> None:
    assert [one.version for one in last_in_production(history(*versions), count)] == last


def retired(made: History, until: datetime) -> History:
    *earlier, last = made.entries
    return History(entries=(*earlier, last.model_copy(update={"until": until})))


def test_nothing_is_in_production_between_a_retirement_and_the_next_promotion() -> None:
    gap = retired(history(1), MONDAY + DAY)
    assert (current(gap), in_production_at(gap, MONDAY + DAY)) == (None, None)
    back = promote(gap, entry(1, MONDAY + 3 * DAY))
    assert [(one.since, one.until) for one in back.entries] == [(MONDAY, MONDAY + DAY), (MONDAY + 3 * DAY, None)]
    assert in_production_at(back, MONDAY + 2 * DAY) is None
    assert in_production_at(back, MONDAY + 3 * DAY) == current(back) == back.entries[-1]


def test_a_version_that_is_deployed_with_another_configuration_is_another_entry() -> None:
    larger = entry(1, MONDAY + DAY).model_copy(update={"endpoint_config": "pumps-config-1-larger"})
    assert [one.until for one in promote(history(1), larger).entries] == [MONDAY + DAY, None]


@pytest.mark.parametrize("until", [MONDAY - DAY, MONDAY + 2 * DAY, None])
def test_entries_that_overlap_or_end_before_they_begin_are_refused(until: datetime | None) -> None:
    first, second = (each.model_copy(update={"until": None}) for each in history(1, 2).entries)
    with pytest.raises(ValueError, match="version 1 does not end before version 2 begins"):
        History(entries=(first.model_copy(update={"until": until}), second))


def test_a_retirement_ends_what_is_in_production_once(s3: Any) -> None:
    record_promotion(s3, BUCKET, MODEL, entry(1, MONDAY))
    ended = record_retirement(s3, BUCKET, MODEL)
    assert ended == record_retirement(s3, BUCKET, MODEL) == read_history(s3, BUCKET, MODEL)
    (only,) = ended.entries
    assert only.until is not None
    assert only.until >= only.since == MONDAY
    assert record_retirement(s3, BUCKET, "others") == History()


def test_a_run_that_records_twice_changes_nothing(s3: Any) -> None:
    first = record_promotion(s3, BUCKET, MODEL, entry(1, MONDAY))
    again = record_promotion(s3, BUCKET, MODEL, entry(1, MONDAY).model_copy(update={"since": MONDAY + DAY}))
    assert first == again == read_history(s3, BUCKET, MODEL)
    assert len(again.entries) == 1
    assert len(s3.log) == 1, "nothing is written twice, which might overwrite another run's entry"


def test_what_lies_in_s3_is_what_others_read(s3: Any) -> None:
    record_promotion(s3, BUCKET, MODEL, entry(1, MONDAY))
    record_promotion(s3, BUCKET, MODEL, entry(2, MONDAY + DAY))
    stored = json.loads(s3.get_object(Bucket=BUCKET, Key="production/pumps/history.json")["Body"].read())
    assert [(one["version"], one["from"], one["to"]) for one in stored["entries"]] == [
        (1, "2026-11-16T12:00:00Z", "2026-11-17T12:00:00Z"),
        (2, "2026-11-17T12:00:00Z", None),
    ]
    assert read_history(s3, BUCKET, MODEL) == history(1, 2)
    assert read_history(s3, BUCKET, "others") == History()


def test_a_promotion_that_was_overtaken_is_refused(s3: Any) -> None:
    record_promotion(s3, BUCKET, MODEL, entry(2, MONDAY + DAY))
    with pytest.raises(HistoryError, match="another run has changed production"):
        record_promotion(s3, BUCKET, MODEL, entry(1, MONDAY))


def test_what_is_recorded_was_true_after_the_history_was_read(s3: Any) -> None:
    """A run that looked at the endpoint and was then overtaken by a rollback must not record what it saw."""
    record_promotion(s3, BUCKET, MODEL, entry(1, MONDAY))
    serves = [2]

    def require_version_two() -> None:
        if serves[-1] != 2:
            raise RuntimeError("another run changed it since")

    record_promotion(s3, BUCKET, MODEL, entry(2, MONDAY + DAY), require_version_two)

    def overtaken() -> None:
        require_version_two()
        serves.append(1)
        record_promotion(s3, BUCKET, MODEL, entry(1, MONDAY + 2 * DAY))

    with pytest.raises(HistoryConflictError, match="a retry reads it again"):
        record_promotion(s3, BUCKET, MODEL, entry(3, MONDAY + 3 * DAY), overtaken)
    with pytest.raises(RuntimeError, match="another run changed it since"):
        record_promotion(s3, BUCKET, MODEL, entry(3, MONDAY + 3 * DAY), require_version_two)
    assert [each.version for each in read_history(s3, BUCKET, MODEL).entries] == [1, 2, 1]


def test_two_writers_at_once_do_not_lose_an_entry(s3: Any) -> None:
    record_promotion(s3, BUCKET, MODEL, entry(1, MONDAY))

    class Overtaken:
        """An S3 in which another run writes between the reading and the writing."""

        def get_object(self, **request: Any) -> Any:
            found = s3.get_object(**request)
            record_promotion(s3, BUCKET, MODEL, entry(2, MONDAY + DAY))
            return found

        def put_object(self, **request: Any) -> Any:
            return s3.put_object(**request)

    with pytest.raises(HistoryConflictError, match="a retry reads it again"):
        record_promotion(Overtaken(), BUCKET, MODEL, entry(3, MONDAY + 2 * DAY))
    assert [one.version for one in read_history(s3, BUCKET, MODEL).entries] == [1, 2]


@pytest.mark.parametrize(
    "content",
    [
        b"{",
        b"[]",
        b'{"entries": [{"version": 0}]}',
        json.dumps({"entries": [json.loads(entry(n, MONDAY).model_dump_json(by_alias=True)) for n in (1, 2)]}).encode(),
    ],
)
def test_a_damaged_history_is_refused_with_its_place(s3: Any, content: bytes) -> None:
    s3.put_object(Bucket=BUCKET, Key="production/pumps/history.json", Body=content)
    with pytest.raises(HistoryError, match=r"s3://bucket/production/pumps/history\.json"):
        read_history(s3, BUCKET, MODEL)


def test_of_two_that_promote_the_first_version_at_once_one_is_refused(s3: Any) -> None:
    class Late:
        """An S3 in which another run creates the history between this run's reading and writing."""

        def get_object(self, **request: Any) -> Any:
            try:
                return s3.get_object(**request)
            finally:
                record_promotion(s3, BUCKET, MODEL, entry(1, MONDAY))

        def put_object(self, **request: Any) -> Any:
            return s3.put_object(**request)

    with pytest.raises(HistoryConflictError, match=r"another run changed s3://bucket/production/pumps/history\.json"):
        record_promotion(Late(), BUCKET, MODEL, entry(2, MONDAY))
    assert read_history(s3, BUCKET, MODEL) == history(1)


def test_two_promotions_in_one_second_are_both_kept() -> None:
    both = promote(promote(History(), entry(1, MONDAY)), entry(2, MONDAY))
    assert [(one.version, one.since, one.until) for one in both.entries] == [(1, MONDAY, MONDAY), (2, MONDAY, None)]
