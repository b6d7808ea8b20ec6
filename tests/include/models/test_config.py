"""The error about an unusable model.yaml names file and key, what was found and what is allowed."""

from __future__ import annotations

from datetime import date, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

from include.models.config import MODELS_FOLDER, Clock, ConfigError, load_model, model_names

MODEL = "predictive_maintenance"


@pytest.mark.parametrize("name", model_names())
def test_every_model_has_a_usable_configuration(name: str) -> None:
    assert load_model(name).name == name


@pytest.fixture
def content() -> dict[str, Any]:
    read: dict[str, Any] = yaml.safe_load((MODELS_FOLDER / MODEL / "model.yaml").read_text())
    return read


def refusal(folder: Path, content: Any) -> str:
    """The error about a model folder with this model.yaml."""
    (folder / MODEL).mkdir(exist_ok=True)
    text = content if isinstance(content, str) else yaml.safe_dump(content)
    (folder / MODEL / "model.yaml").write_text(text)
    with pytest.raises(ConfigError) as error:
        load_model(MODEL, folder)
    assert f"{folder.name}/{MODEL}/model.yaml" in str(error.value)
    return str(error.value)


def put(content: dict[str, Any], path: str, value: Any) -> dict[str, Any]:
    """Set the value at a dotted path; list positions are numbers."""
    *way, last = [int(part) if part.isdigit() else part for part in path.split(".")]
    place: Any = content
    for part in way:
        place = place[part]
    place[last] = value
    return content


@pytest.mark.parametrize(
    ("path", "suggestion"),
    [
        ("trainning", "Did you mean 'training'?"),
        ("training.hyperparametres", "Did you mean 'hyperparameters'?"),
        ("training.tuning.ranges.num_leaves.mni", "Did you mean 'min'?"),
        ("data.tables.telemetry.colums", "Did you mean 'columns'?"),
        ("gates.0.maximum", "Did you mean 'max'?"),
        ("champion.zzz", "Known: metric, direction, margin, last."),
    ],
)
def test_unknown_key(tmp_path: Path, content: dict[str, Any], path: str, suggestion: str) -> None:
    message = refusal(tmp_path, put(content, path, 1))
    assert f": {path}: unknown key. {suggestion}" in message


@pytest.mark.parametrize(
    ("path", "value", "words"),
    [
        ("split.test_days", "many", "valid number; found 'many'"),
        ("training.instance_count", True, "valid integer; found True"),
        ("gates.0.min", "high", "valid number; found 'high'"),
        ("gates", {"macro_f1": 0.9}, "valid list"),
        ("data.tables.machines.columns.age", "float", "'timestamp', 'integer', 'number' or 'string'; found 'float'"),
        ("description", None, "valid string; found None"),
    ],
)
def test_wrong_type(tmp_path: Path, content: dict[str, Any], path: str, value: Any, words: str) -> None:
    message = refusal(tmp_path, put(content, path, value))
    assert f": {path}: " in message
    assert words in message


@pytest.mark.parametrize(
    ("path", "value", "words"),
    [
        ("gates.0.min", 90, "macro_f1 lies between 0 and 1; the bound 90"),
        ("gates.0.min", -0.1, "macro_f1 lies between 0 and 1; the bound -0.1"),
        ("champion.margin", -0.01, "greater than or equal to 0; found -0.01"),
        ("split.gap_hours", -24, "greater than or equal to 0; found -24"),
        ("training.max_runtime_minutes", 0, "greater than or equal to 1; found 0"),
        ("training.volume_gb", 99_999, "less than or equal to 16384; found 99999"),
        ("data.tables.telemetry.max_rejected_share", 5, "less than or equal to 0.5; found 5"),
        ("training.tuning.ranges.num_leaves", {"min": 9, "max": 9}, "min 9 is not below max 9"),
        ("training.tuning.ranges.num_leaves", {"min": 0, "max": 9, "scale": "logarithmic"}, "starts above 0, not at 0"),
        ("training.instance_type", "m5.large", "found 'm5.large'"),
        ("monitoring.max_psi", 0, "greater than 0; found 0"),
        ("monitoring.min_rows", 5, "greater than or equal to 100; found 5"),
        ("labels.ask", 3, "greater than or equal to 5; found 3"),
        ("schedule.monitor", "0 * * * *", "schedule.monitor"),
        ("gates", [], "at least 1 item"),
    ],
)
def test_value_out_of_range(tmp_path: Path, content: dict[str, Any], path: str, value: Any, words: str) -> None:
    message = refusal(tmp_path, put(content, path, value))
    assert path.split(".")[0] in message
    assert words in message


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_a_bound_that_is_not_a_number_would_let_everything_through(
    tmp_path: Path, content: dict[str, Any], bad: float
) -> None:
    assert "finite number" in refusal(tmp_path, put(content, "gates.2.max", bad))


def test_a_missing_key(tmp_path: Path, content: dict[str, Any]) -> None:
    del content["champion"]["margin"]
    assert ": champion.margin: is missing." in refusal(tmp_path, content)


def test_all_problems_at_once(tmp_path: Path, content: dict[str, Any]) -> None:
    message = refusal(tmp_path, put(put(content, "split.gap_hours", -1), "colour", "red"))
    assert "(2 problems)" in message


def test_what_is_neither_scored_nor_kept_cannot_be_watched(tmp_path: Path, content: dict[str, Any]) -> None:
    del content["scoring"], content["labels"], content["schedule"]["score"]
    content["serving"]["data_capture_percent"] = 0
    assert "add the section scoring, or serving.data_capture_percent" in refusal(tmp_path, content)
    del content["monitoring"]
    assert "schedule.monitor: there is nothing to monitor" in refusal(tmp_path, content)


def test_a_gate_without_a_bound(tmp_path: Path, content: dict[str, Any]) -> None:
    assert "gates.0: " in refusal(tmp_path, put(content, "gates.0", {"metric": "macro_f1"}))


@pytest.mark.parametrize(
    ("split", "words"),
    [
        (
            {"kind": "random", "test_share": 0.2, "validation": 0.1},
            "split.validation: unknown key. Did you mean 'valid",
        ),
        ({"kind": "random", "test_share": 0.2}, "split.validation_share: is missing"),
        ({"kind": "random", "test_share": 0.6, "validation_share": 0.5}, "less than a tenth of the rows"),
        (
            {"kind": "random", "test_share": 0.2, "validation_share": 0.1, "group_by": ["volt"]},
            "names ['volt']; allowed",
        ),
        ({"kind": "sideways", "test_days": 3, "validation_days": 3}, "split: kind is 'time' or 'random'"),
        ({"test_days": 3, "validation_days": 0}, "split.validation_days: Input should be greater"),
    ],
)
def test_a_split_that_cannot_be(tmp_path: Path, content: dict[str, Any], split: dict[str, Any], words: str) -> None:
    assert words in refusal(tmp_path, put(content, "split", split))


def test_a_share_of_clusters_needs_clusters(tmp_path: Path, content: dict[str, Any]) -> None:
    assert "name their columns in split.cluster" in refusal(tmp_path, put(content, "split.cluster", []))


@pytest.mark.parametrize(
    ("problem", "classes", "words"),
    [
        ("binary", ["a", "b", "c"], "needs two names, the positive one last; found 3"),
        ("multiclass", None, "needs two names or more; found 0"),
        ("regression", ["a", "b"], "is for classification"),
    ],
)
def test_classes_that_do_not_fit(
    tmp_path: Path, content: dict[str, Any], problem: str, classes: list[str] | None, words: str
) -> None:
    content["problem"] = problem
    assert words in refusal(tmp_path, put(content, "data.classes", classes))


def test_a_split_by_time_without_a_time(tmp_path: Path, content: dict[str, Any]) -> None:
    assert "data.time must name a column" in refusal(tmp_path, put(content, "data.time", None))


def test_a_key_that_is_not_a_column(tmp_path: Path, content: dict[str, Any]) -> None:
    message = refusal(tmp_path, put(content, "data.tables.errors.key", ["machine"]))
    assert (
        "data.tables.errors.key.0: there is no column 'machine'. Did you mean 'machineID'? Known: datetime" in message
    )


def test_a_series_without_a_time(tmp_path: Path, content: dict[str, Any]) -> None:
    message = refusal(tmp_path, put(content, "data.tables.machines.every_hours", 1))
    assert "every_hours needs one timestamp column in the key, which has 0" in message


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"values": ["a", "b"], "min": 1}, "either min and max, or values"),
        ({}, "either min and max, or values"),
        ({"values": ["a"]}, "at least 2 items"),
        ({"min": 1}, "min and max go together"),
        ({"min": 0, "max": 1, "scale": "logarithmic"}, "starts above 0"),
    ],
)
def test_what_tuning_chooses_from_is_a_range_or_some_values(
    tmp_path: Path, content: dict[str, Any], given: dict[str, Any], words: str
) -> None:
    assert words in refusal(tmp_path, put(content, "training.tuning.ranges.num_leaves", given))


def test_a_clock_of_a_table_to_score_ticks_every_day(tmp_path: Path, content: dict[str, Any]) -> None:
    clock = {"column": "datetime", "start": datetime.fromisoformat("2015-01-01T06:00"), "every_minutes": 2000}
    telemetry = content["data"]["tables"]["telemetry"]
    del telemetry["columns"]["datetime"]
    assert "telemetry, whose clock does not tick" in refusal(
        tmp_path, put(content, "data.tables.telemetry", {**telemetry, "clock": clock})
    )


def test_a_days_clock_starts_with_the_days_first_tick() -> None:
    clock = Clock(column="moment", start=datetime.fromisoformat("1996-05-07T00:20"), every_minutes=30)
    assert clock.on(date(1996, 5, 7)).start == datetime.fromisoformat("1996-05-07T00:20")
    assert clock.on(date(1997, 1, 1)).start == datetime.fromisoformat("1997-01-01T00:20")
    assert clock.on(date(1990, 1, 1)).start == datetime.fromisoformat("1990-01-01T00:20")
    every_five_hours = clock.model_copy(update={"every_minutes": 300})
    assert every_five_hours.on(date(1996, 5, 8)).start == datetime.fromisoformat("1996-05-08T01:20")


def test_the_name_is_the_folder(tmp_path: Path, content: dict[str, Any]) -> None:
    assert "name is 'other', but the folder is" in refusal(tmp_path, put(content, "name", "other"))


@pytest.mark.parametrize(("text", "words"), [("a: [", "is not valid YAML"), ("", "is empty"), ("- a", "holds a list")])
def test_no_mapping(tmp_path: Path, text: str, words: str) -> None:
    assert words in refusal(tmp_path, text)


def test_a_key_twice(tmp_path: Path, content: dict[str, Any]) -> None:
    assert "the key 'owner' twice" in refusal(tmp_path, yaml.safe_dump(content) + "owner: somebody\n")


def test_no_such_model(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"model.yaml does not exist. Models with a model.yaml: none"):
        load_model("nothing", tmp_path)
