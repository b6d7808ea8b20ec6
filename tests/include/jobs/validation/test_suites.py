"""Suites that contradict themselves are refused; checks that fail to run are not a silent success."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from include.jobs.validate_raw_data import load_suites
from include.jobs.validation.parts import check_of
from include.jobs.validation.suites import SuiteError, load_suite, references, run_suite
from include.jobs.validation.wording import allowed, finding_of, observed
from include.models.config import LINE, MODELS_FOLDER, ModelConfig, load_model, model_names
from include.models.quoting import NOT_SHOWN, VARIABLE

FRAME = pl.DataFrame(
    {"file_line": [2, 3, 4, 5], "x": [1.0, 2.0, None, 40.0], "id": [1, 2, 3, 9], "name": ["a", "b", "c", "d"]}
)


def entry(type_: str = "expect_column_values_to_be_between", **changes: Any) -> dict[str, Any]:
    kwargs = {"column": "x", "min_value": 0, "max_value": 10}
    return {"type": type_, "kwargs": kwargs, "severity": "critical", "meta": {"action": "Look."}, **changes}


def write(folder: Path, *entries: dict[str, Any]) -> Path:
    (folder / "table.json").write_text(json.dumps({"name": "table", "expectations": list(entries)}))
    return folder


def run(folder: Path, *entries: dict[str, Any], others: dict[str, pl.DataFrame] | None = None) -> list[Any]:
    return run_suite(load_suite(write(folder, *entries), "table"), FRAME.drop("file_line"), others or {})


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (entry("expect_column_values_to_be_betwen"), "expect_column_values_to_be_betwen not found"),
        (entry(kwargs={"column": "x", "min_vlaue": 3, "max_value": 4}), "min_vlaue"),
        (entry(kwargs={"column": "x", "min_value": "three"}), "does not take"),
        (entry(kwargs={"column": "x"}), "cannot both be None"),
        (entry(severity="fatal"), "severity"),
        ({key: value for key, value in entry().items() if key != "severity"}, "severity: Field required"),
        (entry(meta={}), "meta.action: Field required"),
        (entry(meta={"action": "Look.", "rejects": True}), "meta.rejects: Extra inputs are not permitted"),
    ],
)
def test_a_suite_that_cannot_be_used(tmp_path: Path, bad: dict[str, Any], message: str) -> None:
    with pytest.raises(SuiteError, match=r"table.json: expectations\[1\]") as error:
        load_suite(write(tmp_path, entry(), bad), "table")
    assert message in str(error.value)


@pytest.mark.parametrize("content", ["{}", '{"expectations": []}', "[]", '{"expectations": {}}'])
def test_an_empty_suite_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "table.json").write_text(content)
    with pytest.raises(SuiteError, match="an empty suite checks nothing"):
        load_suite(tmp_path, "table")


def test_no_suite_and_no_json(tmp_path: Path) -> None:
    with pytest.raises(SuiteError, match=r"table.json does not exist"):
        load_suite(tmp_path, "table")
    (tmp_path / "table.json").write_text("{")
    with pytest.raises(SuiteError, match=r"table.json is not valid JSON"):
        load_suite(tmp_path, "table")


@pytest.mark.parametrize("name", model_names())
def test_every_model_has_its_suites(name: str) -> None:
    folder = MODELS_FOLDER / name / "expectations"
    config = load_model(name)
    for dataset, suite in load_suites(config, folder).items():
        written = json.loads((folder / f"{dataset}.json").read_text())["expectations"]
        assert [expected.type for expected in suite] == [one["type"] for one in written]
    assert load_suite(folder, "features")


@pytest.fixture
def config() -> ModelConfig:
    return load_model("predictive_maintenance")


def suites_for(config: ModelConfig, folder: Path, **changed: dict[str, Any]) -> None:
    for name in (*config.data.tables, "telemetry_continuity", *changed):
        content = changed.get(name, entry("expect_table_row_count_to_be_between", kwargs={"min_value": 1}))
        (folder / f"{name}.json").write_text(json.dumps({"expectations": [content]}))


def test_a_suite_of_no_table_is_refused(config: ModelConfig, tmp_path: Path) -> None:
    suites_for(config, tmp_path, telemetri=entry())
    with pytest.raises(SuiteError, match=r"suites of \['telemetri'\], which are not tables"):
        load_suites(config, tmp_path)


def test_a_parameter_of_no_table_is_refused(config: ModelConfig, tmp_path: Path) -> None:
    parameter = {"column": "x", "value_set": {"$PARAMETER": "plants__id"}}
    suites_for(config, tmp_path, errors=entry("expect_column_values_to_be_in_set", kwargs=parameter))
    with pytest.raises(SuiteError, match=r"takes values from \['plants'\]"):
        load_suites(config, tmp_path)


def test_a_part_that_raw_tables_do_not_have_is_refused(config: ModelConfig, tmp_path: Path) -> None:
    suites_for(config, tmp_path, errors=entry(meta={"action": "Look.", "only": ["train"]}))
    with pytest.raises(SuiteError, match="only"):
        load_suites(config, tmp_path)


def test_mostly_is_a_cap(tmp_path: Path) -> None:
    kwargs = {"column": "x", "min_value": 0, "max_value": 10}
    strict, lenient, tolerated, fine = run(
        tmp_path,
        entry(),
        entry(kwargs={**kwargs, "mostly": 0.6}),
        entry(kwargs={**kwargs, "mostly": 0.6}, meta={"action": "Look.", "tolerated": True}),
        entry(kwargs={"column": "x", "min_value": 0, "max_value": 50}),
    )
    assert [one.severity for one in (strict, lenient, tolerated, fine)] == ["critical", "warning", None, None]
    assert allowed(lenient) == "0 to 10 in at least 60 % of the rows"
    finding = finding_of(lenient, "table", "table.csv", FRAME)
    assert finding is not None
    assert finding.found == "40 in 1 of 4 rows (25.00 %) (line 5)"
    assert finding.rows == 1


def test_of_a_small_day_more_may_fail_than_a_suite_says(tmp_path: Path) -> None:
    kwargs = {"column": "x", "min_value": 0, "max_value": 10}
    capped, strict = load_suite(write(tmp_path, entry(kwargs={**kwargs, "mostly": 0.9}), entry()), "table")
    assert capped.at_most(0.5).kwargs["mostly"] == 0.5
    assert capped.at_most(0.01).kwargs["mostly"] == 0.9
    assert strict.at_most(0.5) is strict, "a condition on every row applies to every row"


def test_rows_to_set_aside(tmp_path: Path) -> None:
    [outcome] = run(tmp_path, entry(meta={"action": "Look.", "reject_rows": True}))
    assert outcome.rejected.tolist() == [3]


def test_a_check_that_fails_to_run_is_critical(tmp_path: Path) -> None:
    missing, wrong = run(
        tmp_path,
        entry(kwargs={"column": "y", "min_value": 0}, severity="info"),
        entry(kwargs={"column": "name", "min_value": 0}, severity="warning"),
    )
    for outcome in (missing, wrong):
        finding = finding_of(outcome, "table", "table.csv", FRAME)
        assert finding is not None
        assert finding.severity == "critical"
        assert "could not be checked" in finding.found
    assert '"y" in BatchData does not exist' in missing.error


@pytest.mark.parametrize(
    ("kind", "kwargs"),
    [
        ("expect_column_values_to_be_in_set", {"value_set": ["a"]}),
        ("expect_column_max_to_be_between", {"max_value": 1}),
        ("expect_column_distinct_values_to_be_in_set", {"value_set": ["a"]}),
        ("expect_column_values_to_be_unique", {}),
    ],
)
def test_what_was_seen_is_not_quoted_where_values_are_not_to_be(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, kwargs: dict[str, Any]
) -> None:
    column = "n" if "max" in kind else "who"
    frame = pl.DataFrame({"who": ["Miller", "Miller", "a"], "n": [7077.0, 1.0, 2.0]})
    suite = load_suite(write(tmp_path, entry(kind, kwargs={"column": column, **kwargs})), "table")
    [outcome] = run_suite(suite, frame, {})
    said = []
    for quotes in ("yes", "no"):
        monkeypatch.setenv(VARIABLE, quotes)
        said.append(f"{observed(outcome)} {finding_of(outcome, 't', 't.csv', frame)}")
    assert NOT_SHOWN in said[1]
    assert not [word for word in ("Miller", "7077") if word in said[1]]
    assert any(word in said[0] for word in ("Miller", "7077"))


def test_a_finding_shows_five_of_its_rows_by_line_key_and_value(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    frame = pl.DataFrame({LINE: range(2, 10), "id": [f"m{n}" for n in range(8)], "n": [float(n) for n in range(8)]})
    kwargs = {"column": "n", "max_value": 1}
    suite = load_suite(write(tmp_path, entry("expect_column_values_to_be_between", kwargs=kwargs)), "table")
    [outcome] = run_suite(suite, frame, {})
    check = check_of(outcome, frame, ["id"])
    finding = finding_of(check.outcome, "t", "t.csv", check.shown, ["id"])
    assert finding is not None
    assert [(one.line, one.key, one.value) for one in finding.examples] == [
        (n + 2, f"id m{n}", f"{n}") for n in range(2, 7)
    ]
    monkeypatch.setenv(VARIABLE, "no")
    silent = finding_of(check.outcome, "t", "t.csv", check.shown, ["id"])
    assert silent is not None
    assert silent.examples == ()


def test_parameters_from_other_tables(tmp_path: Path) -> None:
    in_set = "expect_column_values_to_be_in_set"
    known = entry(in_set, kwargs={"column": "id", "value_set": {"$PARAMETER": "plants__id"}})
    span = {
        "column": "id",
        "min_value": {"$PARAMETER": "plants__id__min"},
        "max_value": {"$PARAMETER": "plants__id__max"},
    }
    outcomes = run(tmp_path, known, entry(kwargs=span), others={"plants": pl.DataFrame({"id": [3, 1, None, 2]})})
    assert [one.unexpected for one in outcomes] == [1, 1]
    assert [allowed(one) for one in outcomes] == ["the 3 values of id in plants", "1 to 3"]
    assert references(load_suite(tmp_path, "table")) == {"plants"}


def test_without_the_other_table_the_check_is_skipped(tmp_path: Path) -> None:
    known = entry(
        "expect_column_values_to_be_in_set", kwargs={"column": "id", "value_set": {"$PARAMETER": "plants__id"}}
    )
    for others in ({}, {"plants": pl.DataFrame({"id": []})}):
        skipped, checked = run(tmp_path, known, entry(), others=others)
        assert skipped.severity is None
        assert observed(skipped) == "not checked: plants cannot be used"
        assert checked.severity == "critical"


def test_a_parameter_that_names_no_column(tmp_path: Path) -> None:
    known = entry(
        "expect_column_values_to_be_in_set", kwargs={"column": "id", "value_set": {"$PARAMETER": "plants__ids"}}
    )
    with pytest.raises(SuiteError, match="'plants__ids' names nothing"):
        run(tmp_path, known, others={"plants": pl.DataFrame({"id": [1]})})


def test_now(tmp_path: Path) -> None:
    past = pl.DataFrame({"x": [datetime(2015, 1, 1), datetime(2999, 1, 1)]})  # noqa: DTZ001 - tables have no zone
    suite = load_suite(write(tmp_path, entry(kwargs={"column": "x", "max_value": {"$PARAMETER": "now"}})), "table")
    assert run_suite(suite, past, {})[0].unexpected == 1


@pytest.mark.parametrize(
    ("type_", "kwargs", "words", "seen"),
    [
        ("expect_column_mean_to_be_between", {"column": "x", "max_value": 2}, "mean at most 2", "14.3333"),
        ("expect_table_row_count_to_be_between", {"min_value": 9}, "row count at least 9", "4"),
        (
            "expect_column_values_to_not_be_null",
            {"column": "x"},
            "a value in every row",
            "no value in 1 of 4 rows (25.00 %)",
        ),
        (
            "expect_column_values_to_be_in_set",
            {"column": "name", "value_set": ["a", "b", "c"]},
            "a, b, c",
            "d in 1 of 4 rows (25.00 %)",
        ),
        (
            "expect_column_distinct_values_to_contain_set",
            {"column": "id", "value_set": [1, 7]},
            "distinct values 1, 7",
            "missing: 7",
        ),
        (
            "expect_column_values_to_match_regex",
            {"column": "name", "regex": "[ab]"},
            "column values to match regex [ab]",
            "c, d in 2 of 4 rows (50.00 %)",
        ),
        ("expect_compound_columns_to_be_unique", {"column_list": ["name", "id"]}, "no repetitions", "all of 4 rows"),
        (
            "expect_column_pair_values_a_to_be_greater_than_b",
            {"column_A": "id", "column_B": "x", "or_equal": True, "ignore_row_if": "either_value_is_missing"},
            "id not below x",
            "9 and 40 in 1 of 4 rows (25.00 %)",
        ),
    ],
)
def test_words(tmp_path: Path, type_: str, kwargs: dict[str, Any], words: str, seen: str) -> None:
    [outcome] = run(tmp_path, entry(type_, kwargs=kwargs))
    assert (allowed(outcome), observed(outcome)) == (words, seen)
