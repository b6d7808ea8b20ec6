"""A day's realised performance equals an evaluation of the same rows, however the labels arrive."""

from __future__ import annotations

import gzip
import json
import re
import shutil
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import pytest

from include.jobs import join_labels, measure_weeks, split_days
from include.jobs.daily.challenger import FEATURE, THEIRS, joined
from include.jobs.evaluation.measuring import Answers, Measured, Measures
from include.jobs.evaluation.metrics import plain
from include.jobs.evaluation.resampling import intervals_of
from include.jobs.evaluation.slicing import sliced, told
from include.jobs.features.feature_table import examples
from include.jobs.serving.artifact import load_artifact
from include.jobs.watching.realised import as_scored, drawn, estimate, evidence, sampled, since_change, together
from include.jobs.watching.truth import read_labels
from include.models.config import Labels, load_model
from include.models.config.challenger import told_of_challenger
from include.models.config.columns import probability_columns
from include.models.config.files import CHALLENGER_ROWS, SHADOW_ROWS
from include.models.predictive_maintenance.features import build_features
from tests.include.jobs.job_programs import MODEL, Trained

CONFIG = load_model(MODEL)
DAYS = ["2015-06-02", "2015-06-03"]
KEY = CONFIG.data.key


class Bucket:
    """A job's input: partitions of some days, and the scores of two of them."""

    def __init__(self, given: Path, frame: pl.DataFrame, answers: Answers, into: Path) -> None:
        self.given, self.frame, self.answers, self.into = given, frame, answers, into

    def label(self, day: str, name: str, rows: pl.DataFrame) -> None:
        folder = self.given / "labels" / MODEL / f"date={day}"
        folder.mkdir(parents=True, exist_ok=True)
        if name.endswith(".parquet"):
            rows.write_parquet(folder / name)
            return
        packing = {".gz": "gzip", ".zst": "zstd"}.get(Path(name).suffix)
        with pa.OSFile(str(folder / name), "wb") as file:
            text = rows.write_csv().encode()
            if packing:
                with pa.CompressedOutputStream(file, packing) as packed:
                    packed.write(text)
            else:
                file.write(text)

    def joined(self, day: str, labels: Labels | None = None) -> Any:
        config = CONFIG.model_copy(update={"labels": labels}) if labels else CONFIG
        return join_labels.Joiner(config, self.given, self.into).join(day)

    def of(self, days: list[str]) -> pl.DataFrame:
        return self.frame.filter(pl.col("datetime").dt.date().cast(pl.String).is_in(days))

    def measures(self, days: list[str], tables: Any) -> tuple[Measures, Answers]:
        rows = self.of(days)
        measures = Measures(CONFIG, rows, examples(CONFIG, rows), tables)
        inside = self.frame["datetime"].dt.date().cast(pl.String).is_in(days).to_numpy()
        return measures, self.answers.on(inside)


@pytest.fixture(scope="module")
def whole(tables: dict[str, pl.DataFrame], trained: Trained) -> tuple[pl.DataFrame, Answers]:
    """The labelled feature rows of the two days, computed from the whole history, and the model's answers."""
    start = datetime.fromisoformat(DAYS[0])
    frame = build_features(tables).filter(
        pl.col("datetime").is_between(start, start + timedelta(days=2), closed="left")
    )
    return frame, Answers.of(load_artifact(trained.model), frame)


@pytest.fixture(scope="module")
def parts(tables: dict[str, pl.DataFrame], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cut")
    raw, days = folder / "raw", folder / "given" / "daily" / MODEL
    raw.mkdir()
    for name, table in tables.items():
        table.write_csv(raw / CONFIG.data.tables[name].file, datetime_format="%Y-%m-%d %H:%M:%S")
    given = ["--raw", raw, "--days", days, "--first", "2015-06-01", "--last", "2015-06-05"]
    split_days.main(["--model", MODEL, *map(str, given)])
    return days


@pytest.fixture
def bucket(parts: Path, whole: tuple[pl.DataFrame, Answers], tmp_path: Path) -> Bucket:
    frame, answers = whole
    given = tmp_path / "given"
    (given / "daily").mkdir(parents=True)
    (given / "daily" / MODEL).symlink_to(parts)
    names, labels = CONFIG.data.classes or [], np.asarray(answers.labels)
    published = frame.select(KEY).with_columns(
        pl.Series("prediction", [names[code] for code in labels]),
        *(
            pl.Series(column, answers.predictions[:, place])
            for place, column in enumerate(probability_columns(names).values())
        ),
    )
    for day in DAYS:
        folder = given / "scores" / MODEL / f"date={day}"
        folder.mkdir(parents=True)
        own = published.filter(pl.col("datetime").dt.date().cast(pl.String) == day)
        own.sample(fraction=1, shuffle=True, seed=3).write_parquet(folder / "part-0.parquet")
        files = [{"key": f"scores/{MODEL}/date={day}/part-0.parquet", "rows": len(own)}]
        (folder / "_SUCCESS.json").write_text(json.dumps({"model_version": 7, "files": files}))
    return Bucket(given, frame, answers, tmp_path / "performance")


def as_kept(measured: Measured) -> tuple[Any, Any]:
    return plain(measured.values), intervals_of(measured.replicates)


def test_a_day_is_worth_what_an_evaluation_says_to_the_last_bit(
    bucket: Bucket, tables: dict[str, pl.DataFrame]
) -> None:
    given = ["--model", MODEL, "--given", bucket.given, "--performance", bucket.into, "--days", *DAYS]
    join_labels.main([*map(str, given)])
    for day in DAYS:
        found = json.loads((bucket.into / f"date={day}" / "performance.json").read_text())
        measures, answers = bucket.measures([day], tables)
        metrics, intervals = as_kept(measures.of(answers))
        assert (found["rows"], found["labelled"], found["model_version"]) == (160, 160, 7)
        assert found["metrics"] == metrics
        assert found["intervals"] == {name: list(ends) for name, ends in intervals.items()}
        assert found["baselines"] == {name: plain(one.values) for name, one in measures.of_baselines().items()}
        assert found["segments"] == json.loads(json.dumps(told(CONFIG, sliced(measures, answers))))
    measures, answers = bucket.measures(DAYS, tables)
    metrics, intervals = as_kept(measures.of_predictions(answers))
    assert found["window"]["days"] == DAYS, "of the last day"
    assert found["window"]["metrics"] == metrics
    assert found["window"]["intervals"] == {name: list(ends) for name, ends in intervals.items()}


def test_a_replays_week_has_the_days_of_every_version(bucket: Bucket, capsys: pytest.CaptureFixture[str]) -> None:
    """A window of monitoring has one version's days; macro F1 of several days is no mean of theirs."""
    manifest = bucket.given / "scores" / MODEL / f"date={DAYS[1]}" / "_SUCCESS.json"
    promoted = json.loads(manifest.read_text(encoding="utf-8")) | {"model_version": 8}
    manifest.write_text(json.dumps(promoted), encoding="utf-8")
    given = ["--model", MODEL, "--given", bucket.given, "--performance", bucket.into, "--days", *DAYS]
    join_labels.main([*map(str, given)])
    window = json.loads((bucket.into / f"date={DAYS[1]}" / "performance.json").read_text())["window"]
    assert (window["days"], window["labelled"]) == (DAYS[1:], 160)
    capsys.readouterr()
    asked = ["--model", MODEL, "--performance", str(bucket.into), "--first", "2015-05-25", "--last", "2015-06-10"]
    measure_weeks.main(asked)
    before, week, after = json.loads(capsys.readouterr().out)
    assert before is after is None, "no day of theirs has labels"
    measures, answers = bucket.measures(DAYS, {})
    assert (week["days"], week["labelled"]) == (DAYS, 320)
    assert week["metrics"] == plain(measures.of_predictions(answers).values)


def test_rows_since_a_change_are_measured_on_their_own(bucket: Bucket) -> None:
    frame, answers = bucket.frame, bucket.answers
    found = since_change(CONFIG, frame, answers, DAYS[1])
    assert found
    measures, own = bucket.measures(DAYS[1:], {})
    metrics, intervals = as_kept(measures.of_predictions(own))
    assert (found["day"], found["rows"], found["metrics"]) == (DAYS[1], 160, metrics)
    assert found["intervals"] == intervals
    assert found["evidence"] == evidence(measures.truth, measures.drawn)
    assert since_change(CONFIG, frame, answers, DAYS[0]) is None, "all rows are"
    assert since_change(CONFIG, frame, answers, "2016-01-01") is None


@pytest.mark.parametrize("failures", [0, 1])
def test_a_day_may_have_few_failures(bucket: Bucket, parts: Path, tmp_path: Path, failures: int) -> None:
    """Too few for a training; it is also known that nothing else failed."""
    quiet = tmp_path / "quiet"
    shutil.copytree(parts, quiet)
    (bucket.given / "daily" / MODEL).unlink()
    (bucket.given / "daily" / MODEL).symlink_to(quiet)
    files = list(quiet.glob(f"date=*/{CONFIG.data.tables['failures'].file}.gz"))
    assert len(files) == 5
    for file in files:
        header = gzip.decompress(file.read_bytes()).splitlines(keepends=True)[0]
        row = f"{file.parent.name.removeprefix('date=')} 06:00:00,{bucket.frame['machineID'][0]},comp1\n".encode()
        file.write_bytes(gzip.compress(header + row * failures))
    assert bucket.joined(DAYS[0])["labelled"] == 160
    rows = pl.read_parquet(bucket.into / f"date={DAYS[0]}" / "rows.parquet")
    assert rows["failure"].n_unique() == 1 + failures


def test_labels_come_in_parts_and_are_corrected(bucket: Bucket, tables: dict[str, pl.DataFrame]) -> None:
    rows = bucket.of(DAYS[:1]).select(*KEY, "failure")
    bucket.label(DAYS[0], "a.csv", rows[:40])
    found = bucket.joined(DAYS[0], Labels())
    assert (found["rows"], found["labelled"]) == (160, 40), "rows without a label do not count"
    wrong = rows.with_columns(
        pl.when(pl.int_range(pl.len()) == 5).then(pl.lit("comp4")).otherwise("failure").alias("failure")
    )
    bucket.label(DAYS[0], "b.parquet", wrong[5:6])
    worse = bucket.joined(DAYS[0], Labels())
    assert worse["labelled"] == 40
    assert worse["metrics"]["accuracy"] != found["metrics"]["accuracy"]
    bucket.label(DAYS[0], "c.csv", rows)
    measures, answers = bucket.measures(DAYS[:1], tables)
    whole = plain(measures.of_predictions(answers).values)
    assert bucket.joined(DAYS[0], Labels())["metrics"] == whole, "the last file by name is used"


@pytest.mark.parametrize("name", ["a.csv.gz", "a.csv.zst", "a.parquet"])
def test_labels_are_the_same_however_they_are_stored(bucket: Bucket, name: str) -> None:
    rows = bucket.of(DAYS[:1]).select(*KEY, "failure")[:40]
    folder = bucket.given / "labels" / MODEL / f"date={DAYS[0]}"
    bucket.label(DAYS[0], "a.csv", rows)
    plain_text = read_labels(CONFIG, folder, bucket.frame.schema)
    (folder / "a.csv").unlink()
    bucket.label(DAYS[0], name, rows)
    assert read_labels(CONFIG, folder, bucket.frame.schema).equals(plain_text)
    bucket.label(DAYS[0], "a.csv", rows)
    assert bucket.joined(DAYS[0], Labels())["labelled"] == 40, "two files of one name are two files"


@pytest.mark.parametrize(
    ("name", "column", "value", "words"),
    [
        ("a.csv", "machineID", "pump", "a.csv, line 3, column 'machineID': .*not an integer"),
        ("a.csv.zst", "datetime", "yesterday", "a.csv.zst, line 3, column 'datetime': .*yesterday"),
        ("a.parquet", "failure", "comp9", "a.parquet, line 3, column 'failure': 'comp9'; allowed is none, comp1"),
        ("a.parquet", "machineID", 1.5, "a.parquet, line 2, column 'machineID': text that is not an integer"),
        ("a.parquet", "datetime", 7, "a.parquet, column 'datetime': a column of type Int32"),
    ],
)
def test_labels_of_other_types_than_the_models_are_refused(
    bucket: Bucket, name: str, column: str, value: object, words: str
) -> None:
    rows = bucket.of(DAYS[:1]).select(*KEY, "failure")[:5]
    if isinstance(value, str):
        texts = rows.with_columns(pl.col(column).cast(pl.String))
        changed = pl.when(pl.int_range(pl.len()) == 1).then(pl.lit(value)).otherwise(column)
        rows = texts.with_columns(changed.alias(column))
    else:
        rows = rows.with_columns(pl.lit(value).alias(column))
    bucket.label(DAYS[0], name, rows)
    assert re.search(words, bucket.joined(DAYS[0], Labels())["unusable"])


def test_a_file_of_labels_that_cannot_be_used_says_why(bucket: Bucket) -> None:
    rows = bucket.of(DAYS[:1]).select(*KEY, "failure")
    bucket.label(DAYS[0], "a.csv", rows.rename({"failure": "failures"}))
    found = bucket.joined(DAYS[0], Labels())
    assert re.search(r"a.csv.*: .*failures.*failure", found["unusable"])
    assert (found["rows"], found["labelled"]) == (160, 0)
    given = ["--model", MODEL, "--given", bucket.given, "--performance", bucket.into, "--days", *DAYS]
    (bucket.given / "daily" / MODEL).unlink()
    join_labels.main([*map(str, given)])
    found = json.loads((bucket.into / f"date={DAYS[0]}" / "performance.json").read_text())
    assert (found["labelled"], found["unusable"] != "") == (0, True), "the tables that labels are built from are gone"


def test_labels_that_contradict_each_other_in_a_file_are_refused(bucket: Bucket) -> None:
    rows = bucket.of(DAYS[:1]).select(*KEY, "failure")[:40]
    bucket.label(DAYS[0], "a.csv", pl.concat([rows, rows[:3]]))
    assert bucket.joined(DAYS[0], Labels())["labelled"] == 40, "the same said twice"
    other = rows[:1].with_columns(failure=pl.lit("comp4" if rows["failure"][0] != "comp4" else "comp1"))
    bucket.label(DAYS[0], "a.csv", pl.concat([rows, other]))
    words = r"a.csv, lines 2, 42, column 'failure': '\w+' and '\w+' for one row"
    assert re.search(words, bucket.joined(DAYS[0], Labels())["unusable"])


def test_what_lies_beside_labels_does_no_harm(bucket: Bucket) -> None:
    """Parts without rows, folders of a job's parts, and what other programs leave there."""
    rows = bucket.of(DAYS[:1]).select(*KEY, "failure")
    bucket.label(DAYS[0], "part-1.csv", rows.clear())
    bucket.label(DAYS[0], "part-2.parquet", rows.clear())
    folder = bucket.given / "labels" / MODEL / f"date={DAYS[0]}"
    for name in ("_SUCCESS", ".part-1.csv.crc", ".DS_Store", "README.md"):
        (folder / name).write_text("not labels")
    (folder / "run=1").mkdir()
    rows.write_parquet(folder / "run=1" / "part-0.parquet")
    found = bucket.joined(DAYS[0], Labels())
    assert (found["labelled"], "unusable" in found) == (160, False)


def publish(bucket: Bucket) -> None:
    """What the job has written, as the next one is given it."""
    shutil.copytree(bucket.into, bucket.given / "performance" / MODEL, dirs_exist_ok=True)
    shutil.rmtree(bucket.into)


def written(bucket: Bucket, labels: Labels, days: list[str], windows: Sequence[str] = ()) -> Any:
    """The performance of the last day, joined as the job does."""
    joiner = join_labels.Joiner(CONFIG.model_copy(update={"labels": labels}), bucket.given, bucket.into)
    for day in days:
        joiner.join(day)
    for day in sorted([*days, *windows]):
        joiner.write(day)
    return json.loads((bucket.into / f"date={DAYS[1]}" / "performance.json").read_text())


def test_a_window_counts_the_rows_of_days_without_labels(bucket: Bucket) -> None:
    bucket.label(DAYS[1], "a.csv", bucket.of(DAYS[1:]).select(*KEY, "failure"))
    window = written(bucket, Labels(), DAYS[1:])["window"]
    assert (window["days"], window["rows"], window["labelled"]) == (DAYS[1:], 320, 160)
    assert written(bucket, Labels(ask=20), DAYS)["window"]["rows"] == 320, "nor if the other was joined without any"


def test_a_correction_that_cannot_be_used_leaves_what_was_known(bucket: Bucket) -> None:
    for day in DAYS:
        bucket.label(day, "a.csv", bucket.of([day]).select(*KEY, "failure"))
    before = written(bucket, Labels(), DAYS)
    publish(bucket)
    bucket.label(DAYS[0], "b.csv", bucket.of(DAYS[:1]).select(*KEY, failure=pl.lit("comp9")))
    after = written(bucket, Labels(), DAYS[:1], windows=DAYS[1:])
    assert after == before
    first = json.loads((bucket.into / f"date={DAYS[0]}" / "performance.json").read_text())
    assert (first["labelled"], first["window"]["labelled"]) == (160, 160)
    assert "comp9" in first["unusable"]


def test_labels_that_are_withdrawn_count_no_more(bucket: Bucket) -> None:
    for day in DAYS:
        bucket.label(day, "a.csv", bucket.of([day]).select(*KEY, "failure"))
    written(bucket, Labels(), DAYS)
    publish(bucket)
    shutil.rmtree(bucket.given / "labels" / MODEL / f"date={DAYS[0]}")
    window = written(bucket, Labels(), DAYS[:1], windows=DAYS[1:])["window"]
    assert (window["days"], window["rows"], window["labelled"]) == (DAYS[1:], 320, 160)


def test_labels_of_a_table_and_of_files_are_of_one_window(bucket: Bucket) -> None:
    assert CONFIG.labels
    written(bucket, CONFIG.labels, DAYS)
    publish(bucket)
    bucket.label(DAYS[1], "a.csv", bucket.of(DAYS[1:]).select(*KEY, "failure"))
    assert written(bucket, Labels(), DAYS[1:])["window"]["labelled"] == 320


def test_scores_of_other_classes_are_told(bucket: Bucket) -> None:
    names = [*(CONFIG.data.classes or []), "comp5"]
    more = CONFIG.model_copy(update={"data": CONFIG.data.model_copy(update={"classes": names})})
    found = join_labels.Joiner(more, bucket.given, bucket.into).join(DAYS[0])
    assert "lack probability_comp5: model.yaml has changed since" in found["unusable"]
    fewer = CONFIG.model_copy(update={"data": CONFIG.data.model_copy(update={"classes": names[1:-1]})})
    found = join_labels.Joiner(fewer, bucket.given, bucket.into).join(DAYS[0])
    assert "predict none: model.yaml has changed since" in found["unusable"]


@pytest.mark.parametrize("form", ["%d.%m.%Y %H:%M", "epoch", "%Y-%m-%d %H:%M:%S%z", "%Y-%m-%d %H:%M:%S"])
def test_the_form_for_people_can_be_read_however_the_raw_tables_spell_times(bucket: Bucket, form: str) -> None:
    tables = {
        name: table.model_copy(
            update={
                "columns": {
                    column: own.model_copy(update={"format": form}) if own.kind.is_time else own
                    for column, own in table.columns.items()
                }
            }
        )
        for name, table in CONFIG.data.tables.items()
    }
    spelled = CONFIG.model_copy(update={"data": CONFIG.data.model_copy(update={"tables": tables})})
    written(bucket, Labels(ask=20), DAYS)
    folder = bucket.into / f"date={DAYS[0]}"
    asked = pl.read_csv(folder / "to_label.csv", infer_schema=False).with_columns(failure=pl.lit("none"))
    filled = folder / "filled"
    filled.mkdir()
    asked.write_csv(filled / "to_label.csv")
    assert len(read_labels(spelled, filled, bucket.frame.schema)) == 20


def test_a_person_is_asked_for_a_sample_and_its_answer_has_an_interval(bucket: Bucket) -> None:
    labels = Labels(ask=20)
    found = bucket.joined(DAYS[0], labels)
    assert (found["labelled"], found["sampled"]) == (0, None)
    form = pl.read_csv(bucket.into / f"date={DAYS[0]}" / "to_label.csv", try_parse_dates=True)
    assert form.columns == [*KEY, "failure"]
    assert len(form) == 20
    truth = bucket.of(DAYS[:1]).select(*KEY, "failure")
    bucket.label(DAYS[0], "by_hand.csv", form.select(KEY).join(truth, on=KEY, how="left", maintain_order="left"))
    answered = bucket.joined(DAYS[0], labels)["sampled"]
    assert (answered["metric"], answered["asked"], answered["labelled"]) == ("accuracy", 20, 20)
    low, high = answered["interval"]
    assert low < answered["value"] < high


def test_intervals_of_samples_hold_the_truth() -> None:
    """On simulated days of an overconfident model, 19 of 20 intervals contain the whole day's value."""
    config = load_model("electricity").model_copy(update={"labels": Labels(ask=100)})
    rng, held = np.random.default_rng(5), 0
    for number in range(200):
        sure = rng.uniform(0.5, 1, 2000)
        right = rng.uniform(size=2000) < sure - 0.1
        start = datetime.fromisoformat("2026-01-01")
        rows = pl.DataFrame({"half_hour": [start + timedelta(minutes=30 * n) for n in range(2000)]}).with_columns(
            prediction=pl.lit("1"), probability_0=pl.Series(1 - sure), probability_1=pl.Series(sure)
        )
        scored = as_scored(config, 1, rows).rows
        day = str(number)
        truth = scored.with_columns(price_is_up=pl.Series(right.astype(int)))
        known = truth.join(drawn(config, day, scored).select("half_hour"), on="half_hour", how="semi")
        found = sampled(config, day, scored, known)
        assert found is not None
        held += found["interval"][0] <= right.mean() <= found["interval"][1]
    assert 0.9 <= held / 200 <= 0.99


@pytest.mark.parametrize(("asked", "off"), [(20, 0.0), (20, 0.05), (100, 0.0), (100, 0.05)])
def test_intervals_of_samples_hold_the_truth_of_a_model_that_is_nearly_always_right(asked: int, off: float) -> None:
    """A sample of a day then often has no wrong prediction at all."""
    rng, held = np.random.default_rng(7), 0
    for _ in range(300):
        sure = np.clip(rng.beta(40, 1, 1000), 0.5, 1)
        right = (rng.uniform(size=1000) < sure - off).astype(float)
        chosen = rng.choice(1000, asked, replace=False)
        one = estimate("accuracy", sure, right[chosen] - sure[chosen], asked=asked)
        assert 0 <= one["interval"][0] <= one["value"] <= one["interval"][1] <= 1
        held += one["interval"][0] <= right.mean() <= one["interval"][1]
    assert held / 300 >= 0.93


def test_days_are_combined_by_their_own_sums() -> None:
    config = load_model("electricity").model_copy(update={"labels": Labels(ask=100)})
    start = datetime.fromisoformat("2026-01-01")
    sure = np.random.default_rng(5).uniform(0.5, 1, 2000)
    rows = pl.DataFrame({"half_hour": [start + timedelta(minutes=30 * n) for n in range(2000)]}).with_columns(
        prediction=pl.lit("1"), probability_0=pl.Series(1 - sure), probability_1=pl.Series(sure)
    )
    scored = as_scored(config, 1, rows).rows
    right = np.random.default_rng(6).uniform(size=2000) < sure - 0.1
    known = scored.with_columns(price_is_up=pl.Series(right.astype(int))).join(
        drawn(config, "0", scored).select("half_hour"), on="half_hour", how="semi"
    )
    found = sampled(config, "0", scored, known)
    assert found is not None
    week = together([(2000, found), (2000, found)])
    assert week is not None
    assert week["interval"][1] - week["value"] < found["interval"][1] - found["value"], "two days tell more than one"


@pytest.mark.parametrize(("name", "found_as"), [(CHALLENGER_ROWS, "challengers"), (SHADOW_ROWS, "shadows")])
def test_days_beside_production_are_told_with_an_interval_once_labels_come(
    tables: dict[str, pl.DataFrame], parts: Path, tmp_path: Path, name: str, found_as: str
) -> None:
    """A batch challenger is joined by key, an endpoint's shadow by request: false alarms, which cost 1 each."""
    days, alarms = [*DAYS, "2015-06-04"], [2, 3, 7]
    probabilities = list(probability_columns(CONFIG.data.classes or []).values())
    given, features = tmp_path / "given", build_features(tables)
    (given / "daily").mkdir(parents=True)
    (given / "daily" / MODEL).symlink_to(parts)
    for day, some in zip(days, alarms, strict=True):
        rows = features.filter(pl.col("datetime").dt.date().cast(pl.String) == day)
        none = rows["failure"] == "none"
        alarmed = none & (none.cum_sum() <= some)
        scores = [
            rows.select(KEY).with_columns(labels, *(pl.lit(0.2).alias(one) for one in probabilities))
            for labels in (
                pl.lit("none").alias("prediction"),
                pl.Series("prediction", np.where(alarmed, "comp1", "none")),
            )
        ]
        folder, beside = (given / where / MODEL / f"date={day}" for where in ("scores", "performance"))
        folder.mkdir(parents=True)
        scores[0].write_parquet(folder / "part-0.parquet")
        files = [{"key": f"scores/{MODEL}/date={day}/part-0.parquet", "rows": len(rows)}]
        (folder / "_SUCCESS.json").write_text(json.dumps({"model_version": 7, "files": files}))
        both = joined(CONFIG, *scores)
        if name == SHADOW_ROWS:  # requested in another order, some twice, and as text
            asked = rows.drop(CONFIG.data.not_features).rename(lambda one: FEATURE + one)
            asked = pl.read_csv(asked.write_csv().encode(), infer_schema_length=None)
            both = pl.concat([asked, both.select("prediction", f"{THEIRS}prediction")], how="horizontal")
            both = pl.concat([both, both.head(5)]).sample(fraction=1, shuffle=True, seed=1)
        (beside / "version=9").mkdir(parents=True)
        both.write_parquet(beside / "version=9" / name)
    into = tmp_path / "performance"
    join_labels.main(["--model", MODEL, "--given", str(given), "--performance", str(into), "--days", *days])
    labelled = {}
    for day, some in zip(days, alarms, strict=True):
        found = json.loads((into / f"date={day}" / "performance.json").read_text())[found_as]["9"]
        assert (found["rows"], found["measure"]) == (160, "cost_per_1000")
        assert found["challenger"] - found["production"] == pytest.approx(1000 * some / 160)
        labelled[day] = found
    of_day: Any = {"rows": 160, "agreed": 0.97, "apart": 0.0, "changes": []}
    said = told_of_challenger(dict.fromkeys(days, of_day), labelled)[0]
    # the mean of 2, 3 and 7 of 160 rows, and 4.30 times its standard error of 9.5, to 1 %
    assert "cost per 1,000 rows worse by 25, 95 % -65 to 15 (above 0 is better), on 480 rows of 3 days" in said
