"""An endpoint's captured requests are counted like the same rows in a scored day."""

from __future__ import annotations

import json
import tarfile
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from include.jobs.count_captures import main
from include.jobs.features.drift_profile import count_rows, drift_profile
from include.jobs.serving.payload import CSV, FORMATS, JSON, answers, render
from include.jobs.serving.request_log import Exchange, record
from include.jobs.watching.answer_bins import count_probabilities
from include.jobs.watching.captured import MOST_REASONS, OTHER_REASONS, TrafficCounter, reason_of, records_in
from include.models.config.watching import GOLDEN_REQUEST

DAY, SINCE = "2026-03-09", datetime(2026, 3, 9, 6, tzinfo=UTC)
NOON = datetime(2026, 3, 9, 12, tzinfo=UTC)
CLASSES = ["no", "yes"]
ATTRIBUTES = "x-amzn-sagemaker-custom-attributes"
RNG = np.random.default_rng(5)
FEATURES = pl.DataFrame({"volt": RNG.normal(170, 15, 600), "kind": RNG.choice(["a", "b"], 600)})
YES = RNG.uniform(size=600)
PROBABILITIES = np.column_stack([1 - YES, YES])


@pytest.fixture(scope="module", params=["classes", "values"])
def artifact(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files of a model.tar.gz that counting reads."""
    folder = tmp_path_factory.mktemp("artifact")
    classes = CLASSES if request.param == "classes" else []
    metadata = {
        "classes": classes,
        "ignored_columns": ["id"],
        "feature_kinds": {"kind": "string"},
        "answer_edges": [] if classes else [0.5],
    }
    for name, content in (
        ("metadata", metadata),
        ("feature_order", FEATURES.columns),
        ("drift_profile", drift_profile(FEATURES[:300])),
    ):
        (folder / f"{name}.json").write_text(json.dumps(content))
    return folder


def is_classifier(artifact: Path) -> bool:
    return bool(json.loads((artifact / "metadata.json").read_text())["classes"])


def requests(artifact: Path, moment: datetime = NOON, **headers: str) -> list[dict[str, Any]]:
    """All rows, ten per request, in every format and encoding."""
    made = []
    for number in range(0, len(FEATURES), 10):
        rows, kind = FEATURES[number : number + 10], FORMATS[number // 10 % 3]
        if kind == CSV:
            body = rows.write_csv(include_header=number % 20 == 0).encode()
        else:
            body = json.dumps({"instances": rows.to_dicts()}).encode() if kind == JSON else rows.write_ndjson().encode()
        some = slice(number, number + 10)
        found = answers(PROBABILITIES[some], CLASSES) if is_classifier(artifact) else answers(YES[some], [])
        said = Exchange(moment, headers, f"{kind}; charset=utf-8", body, kind, render(found, kind).encode())
        made.append(json.loads(json.dumps(record(said))))
    return made


def refused(message: str, number: int = 1) -> list[Any]:
    answer = json.dumps({"error": message}).encode()
    return [record(Exchange(NOON, {}, CSV, b"x", JSON, answer, 400)) for _ in range(number)]


def counted(artifact: Path, records: Iterable[Any]) -> TrafficCounter:
    counter = TrafficCounter.of(artifact, DAY, SINCE)
    counter.count(records)
    return counter


def test_features_and_answers_lie_in_the_bins_in_which_scoring_counts_them(artifact: Path) -> None:
    found = counted(artifact, requests(artifact))
    profile = json.loads((artifact / "drift_profile.json").read_text())
    assert found.captured == {"requests": 60, "refused": {}, "before": 0, "unread": 0, "probes": 0}
    assert found.profile["rows"] == 600
    assert found.profile["features"] == count_rows(FEATURES, profile)
    if is_classifier(artifact):
        labels = PROBABILITIES.argmax(axis=1)
        assert found.profile["predictions"] == {"no": int((labels == 0).sum()), "yes": int((labels == 1).sum())}
        assert found.profile["answers"] == count_probabilities(PROBABILITIES, labels)
    else:
        assert found.profile["predictions"] == {"sum": pytest.approx(YES.sum())}
        assert found.profile["answers"] == [int((YES < 0.5).sum()), int((YES >= 0.5).sum())]


def test_probes_other_days_and_what_an_earlier_version_answered_are_not_of_the_version(artifact: Path) -> None:
    asked = requests(artifact)[:3]
    early, yesterday = datetime(2026, 3, 9, 5, tzinfo=UTC), datetime(2026, 3, 8, 23, tzinfo=UTC)
    others = [
        *requests(artifact, **{ATTRIBUTES: GOLDEN_REQUEST})[:5],
        *requests(artifact, early)[:4],
        *requests(artifact, yesterday)[:2],
        None,
        {"captureData": {}},
        {**asked[0], "captureData": {**asked[0]["captureData"], "endpointOutput": {"data": "1,2,3,4,5"}}},
    ]
    found = counted(artifact, [*asked, *others])
    assert found.captured == {"requests": 10, "refused": {}, "before": 4, "unread": 3, "probes": 5}
    assert found.profile == counted(artifact, asked).profile


HUGE = 10**400


@pytest.mark.parametrize(
    ("side", "content"),
    [
        ("endpointInput", None),
        ("endpointInput", []),
        ("endpointOutput", "text"),
        ("endpointInput", {"data": None}),
        ("endpointOutput", {"data": "1,2", "observedContentType": ["text/csv"]}),
        ("endpointInput", {"data": "[" * 100_000, "observedContentType": JSON}),
        ("endpointOutput", {"data": "[" * 100_000, "observedContentType": JSON}),
        (
            "endpointOutput",
            {
                "data": json.dumps({"predictions": [{"value": HUGE, "label": "no", "probabilities": {"no": HUGE}}]}),
                "observedContentType": JSON,
            },
        ),
    ],
    ids=["null", "list", "text", "no data", "two types", "deep request", "deep answer", "huge number"],
)
def test_a_record_of_another_form_is_unread_and_the_others_count(artifact: Path, side: str, content: object) -> None:
    good, broken, *_ = requests(artifact)
    broken["captureData"][side] = content
    found = counted(artifact, [broken, good])
    assert (found.captured["requests"], found.captured["unread"], found.profile["rows"]) == (2, 1, 10)


def test_a_line_that_is_nested_too_deeply_is_no_record(tmp_path: Path) -> None:
    file = tmp_path / "a.jsonl"
    file.write_text("[" * 200_000 + "\n{}\n")
    assert list(records_in([file])) == [None, {}]
    assert reason_of(400, b"[" * 200_000) == "400"


def test_refused_requests_are_counted_by_reason(artifact: Path) -> None:
    several = [
        *refused("row 3, column 'volt': '1x7' cannot be read."),
        *refused("row 17, column 'volt': 'b' cannot be read."),
    ]
    found = counted(artifact, [*several, *refused("the header lacks the column 'kind'. Needed: volt, kind.")])
    assert found.captured["refused"] == {
        "400: row …, column 'volt': … cannot be read": 2,
        "400: the header lacks the column 'kind'": 1,
    }
    assert found.captured["requests"] == 3
    assert found.profile["rows"] == 0


def test_reasons_are_bounded(artifact: Path) -> None:
    words = [f"reason {'x' * number}" for number in range(MOST_REASONS + 5)]
    found = counted(artifact, [one for word in words for one in refused(word)]).captured["refused"]
    assert len(found) == MOST_REASONS + 1
    assert found[OTHER_REASONS] == 5
    assert reason_of(413, b"<html>") == "413"


def test_the_program_reads_files_of_any_hour(artifact: Path, tmp_path: Path) -> None:
    every = requests(artifact)
    for hour, some in (("06", every[:20]), ("23", every[20:])):
        folder = tmp_path / "captured" / "m-production" / "AllTraffic" / "2026" / "03" / "09" / hour
        folder.mkdir(parents=True)
        (folder / "a.jsonl").write_text("".join(f"{json.dumps(one)}\n" for one in some) + "{broken\n\n")
    (tmp_path / "artifact").mkdir()
    with tarfile.open(tmp_path / "artifact" / "model.tar.gz", "w:gz") as packed:
        for file in artifact.iterdir():
            packed.add(file, arcname=file.name)
    folders = [part for name in ("captured", "artifact", "counted") for part in (f"--{name}", str(tmp_path / name))]
    main(["--model", "tabular_classifier", *folders, "--day", DAY, "--since", SINCE.isoformat()])
    found = json.loads((tmp_path / "counted" / "captured.json").read_text())
    assert found["captured"] == {"requests": 62, "refused": {}, "before": 0, "unread": 2, "probes": 0}
    assert found["profile"]["features"] == counted(artifact, every).profile["features"]
