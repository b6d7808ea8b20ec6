"""``make new-model`` on unknown files: what it infers, refuses and writes."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import yaml
from jsonschema import Draft202012Validator

from include.jobs.build_features import split_features
from include.jobs.evaluation.metrics import measure
from include.models.config import MODELS_FOLDER, ConfigError, ModelConfig, load_model
from include.models.errors import JobError
from include.models.interface import Examples
from include.models.tabular.column_profile import AS_FOUND, Wishes
from include.models.tabular.estimator import TabularEstimator
from include.models.tabular.features import TabularFeatures
from include.models.tabular.new_model import main, new_model
from include.models.tabular.simulate import simulate, write


def orders(kind: str, rows: int = 900) -> pl.DataFrame:
    """Orders of a bicycle shop: an id, a day, gaps, text with few and with many values, a constant column."""
    rng = np.random.default_rng(5)
    price, shop = rng.lognormal(3, 1, rows), rng.choice(["Graz", "Linz", "Wien"], rows)
    late = np.log(price) + (shop == "Linz") + rng.normal(0, 0.3, rows)
    target: Any = {
        "binary": np.where(late > 4, "late", "in time"),
        "multiclass": np.digitize(late, [2.5, 4]),
        "regression": late,
    }
    days = [
        datetime.fromisoformat("2021-03-01") + timedelta(days=int(day)) for day in np.sort(rng.integers(0, 200, rows))
    ]
    return pl.DataFrame(
        {
            "order no": [f"A-{number}" for number in range(rows)],
            "day": [f"{day:%d.%m.%Y}" for day in days],
            "price": [None if number % 11 == 0 else round(value, 2) for number, value in enumerate(price)],
            "pieces": rng.integers(1, 9, rows),
            "shop": shop,
            "note": [f"please ring at door {number}" for number in range(rows)],
            "currency": "EUR",
            "days late": target[kind],
        }
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    models = tmp_path / "models"
    models.mkdir()
    return models


def scaffold(
    folder: Path, frame: pl.DataFrame, problem: str, wishes: Wishes = AS_FOUND
) -> tuple[ModelConfig, list[str]]:
    file = folder.parent / "orders.csv"
    frame.write_csv(file)
    lines = new_model("bicycle_orders", problem, file, wishes, folder=folder)
    return load_model("bicycle_orders", folder), lines


def test_what_it_infers_of_a_file(folder: Path) -> None:
    config, lines = scaffold(folder, orders("binary"), "binary")
    table = config.data.tables["rows"]
    assert {name: kind.name for name, kind in table.kinds.items()} == {
        "order no": "string",
        "day": "timestamp",
        "price": "number",
        "pieces": "integer",
        "shop": "string",
        "note": "string",
        "currency": "string",
        "days late": "string",
    }
    assert (table.file, table.columns["day"].format) == ("orders.csv", "%d.%m.%Y")
    assert (config.data.key, config.data.time, config.data.label) == (["order no"], "day", "days late")
    assert config.data.classes == ["in time", "late"] or config.data.classes == ["late", "in time"]
    assert config.features.exclude == ["note", "currency"]
    assert config.split.kind == "time"
    assert config.scoring is not None
    assert config.scoring.tables == ["rows"]
    assert config.monitoring is not None
    said = "\n".join(lines)
    for words in (
        "the target is days late",
        "order no",
        "time is day",
        "note (900 different",
        "day is a time in the format %d.%m.%Y ('01.03.2021'",
    ):
        assert words in said


def test_a_file_without_id_and_time_is_numbered_and_split_by_chance(folder: Path) -> None:
    config, lines = scaffold(folder, orders("regression").select("price", "shop", "days late"), "regression")
    assert config.data.tables["rows"].row_number == "row_number"
    assert (config.data.key, config.data.time, config.split.kind) == (["row_number"], None, "random")
    assert any("its place in the file" in line for line in lines)


def test_another_target_is_named(folder: Path) -> None:
    config, _ = scaffold(folder, orders("binary"), "multiclass", Wishes(target="shop"))
    assert (config.data.label, sorted(config.data.classes or [])) == ("shop", ["Graz", "Linz", "Wien"])


def test_a_column_that_tells_the_target_is_named(folder: Path) -> None:
    frame = (
        orders("binary")
        .with_columns(refund=(pl.col("days late") == "late").cast(pl.Int64))
        .select("order no", "price", "refund", "days late")
    )
    _, lines = scaffold(folder, frame, "binary")
    assert any("nearly determine the target on their own: refund" in line for line in lines)
    text = (folder / "bicycle_orders" / "model.yaml").read_text()
    assert '# refuses the next leak:\n#   "refund"\nfeatures:' in text
    file = folder / "bicycle_orders" / "model.yaml"
    file.write_text(text.replace("  exclude: []", "  exclude: [refund]"))
    load_model.cache_clear()
    assert load_model("bicycle_orders", folder).features.exclude == ["refund"], "the only edit"
    file.write_text(text.replace("  exclude: []", "  exclude: [price]"))
    load_model.cache_clear()
    with pytest.raises(ConfigError, match=r"features.json.*'price' is left out of the features by features.exclude"):
        load_model("bicycle_orders", folder)


@pytest.mark.parametrize("problem", ["binary", "multiclass", "regression"])
def test_the_model_learns_from_the_file_and_from_made_up_data(folder: Path, problem: str) -> None:
    config, _ = scaffold(folder, orders(problem), problem)
    profile = json.loads((folder / "bicycle_orders" / "profile.json").read_text())
    for table in (typed(orders(problem)), simulate(config, profile)):
        splits = split_features(config, TabularFeatures(config).build_features({"rows": table}))
        parts = {name: examples(config, part) for name, part in splits.items()}
        own = TabularEstimator(config)
        model = own.fit(parts["train"], parts["validation"], config.training.hyperparameters)
        test = parts["test"]
        found = measure(problem, test.target, own.predict(model, test.features), test.classes)
        gate = config.gates[0]
        assert gate.min is not None
        assert found[gate.metric] > gate.min


def typed(frame: pl.DataFrame) -> pl.DataFrame:
    return frame.with_columns(pl.col("day").str.to_datetime("%d.%m.%Y"))


def examples(config: ModelConfig, part: pl.DataFrame) -> Examples:
    label, classes = part["days late"], config.data.classes or []
    features = part.drop("order no", "day", "days late")
    if not classes:
        return Examples(features, label.to_numpy(), [])
    codes = label.cast(pl.String).replace_strict(classes, range(len(classes)), return_dtype=pl.Int64)
    return Examples(features, codes.to_numpy(), classes)


def test_made_up_data_is_seeded_and_holds_no_row_of_the_file(folder: Path, tmp_path: Path) -> None:
    config, _ = scaffold(folder, orders("binary"), "binary")
    profile = json.loads((folder / "bicycle_orders" / "profile.json").read_text())
    made = simulate(config, profile)
    assert made.equals(simulate(config, profile))
    assert made["order no"].n_unique() == len(made)
    write(config, made, tmp_path / "raw")
    text = (tmp_path / "raw" / "orders.csv").read_text()
    written = pl.read_csv(text.encode())
    assert written.columns == orders("binary").columns
    common = written.cast(pl.String).join(
        orders("binary").cast(pl.String), on=written.columns, how="semi", nulls_equal=True
    )
    assert common.is_empty()
    assert "please ring" not in text
    assert "please ring" not in json.dumps(profile)


@pytest.mark.parametrize(
    ("options", "change", "words"),
    [
        ({"name": "Orders"}, None, "NAME=Orders cannot be a model's name"),
        ({"problem": "binary", "target": "price"}, None, "the target price has .* different values of kind number"),
        ({"problem": "binary", "target": "shop"}, None, "has 3 classes .*Graz.*; binary needs 2"),
        ({"problem": "regression"}, None, "is of kind string; a regression needs numbers"),
        ({"target": "colour"}, None, "TARGET=colour is not a column of orders.csv; it has order no, day"),
        ({}, lambda frame: frame.head(20), "20 rows .* at least 50 are needed"),
        (
            {},
            lambda frame: frame.with_columns(pl.lit("late").alias("days late")),
            "is always 'late': there is nothing to learn",
        ),
        ({}, lambda frame: frame.head(1), "has 1 row with a days late; at least 50"),
        ({}, lambda frame: frame.head(0), "has 0 rows with a days late; at least 50"),
        ({}, lambda frame: frame.with_columns(pl.lit(None).alias("days late")), "has 0 rows with a days late"),
        ({}, lambda frame: frame.select("days late"), "has one column"),
        ({}, lambda frame: frame.select("order no", "days late"), "no column to learn from"),
    ],
)
def test_what_it_refuses(folder: Path, options: dict[str, str], change: Any, words: str) -> None:
    frame = orders("binary")
    (change(frame) if change else frame).write_csv(folder.parent / "orders.csv")
    arguments = {"name": "bicycle_orders", "problem": "binary", "file": folder.parent / "orders.csv", **options}
    wishes = Wishes(target=arguments.pop("target", None))
    with pytest.raises(JobError, match=words):
        new_model(**arguments, wishes=wishes, folder=folder)
    assert not list(folder.iterdir())


def test_a_folder_that_is_there_is_left_as_it_is(folder: Path) -> None:
    scaffold(folder, orders("binary"), "binary")
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    with pytest.raises(JobError, match="include/models/bicycle_orders exists already; nothing was written"):
        scaffold(folder, orders("multiclass"), "multiclass")
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before


def test_the_command_says_what_is_wrong(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["--name", "x_y", "--kind", "binary", "--data", str(tmp_path / "none.csv")]
    assert main(arguments) == 1
    assert "none.csv cannot be read" in capsys.readouterr().err


def test_the_new_file_can_be_edited_with_help(folder: Path) -> None:
    scaffold(folder, orders("binary"), "binary")
    text = (folder / "bicycle_orders" / "model.yaml").read_text(encoding="utf-8")
    assert text.startswith("# yaml-language-server: $schema=../model.schema.json\n")
    schema = Draft202012Validator(json.loads((MODELS_FOLDER / "model.schema.json").read_text(encoding="utf-8")))
    assert [error.message for error in schema.iter_errors(yaml.safe_load(text))] == []


def test_data_is_made_up_of_moments_in_two_columns_and_second_times(folder: Path, tmp_path: Path) -> None:
    day, time = pl.col("day").str.to_datetime("%d.%m.%Y"), pl.lit("07:30")
    frame = orders("binary").with_columns(
        time=time, paid=(day + timedelta(days=3)).dt.strftime("%d.%m.%Y"), price=pl.col("price").cast(pl.String) + " €"
    )
    frame = frame.select("order no", "day", "time", "paid", "price", "shop", "days late")
    config, _ = scaffold(folder, frame, "binary", Wishes(assume=True))
    assert config.data.time == "moment"
    profile = json.loads((folder / "bicycle_orders" / "profile.json").read_text())
    write(config, simulate(config, profile), tmp_path / "raw")
    made = pl.read_csv(tmp_path / "raw" / "orders.csv")
    assert made.columns == frame.columns
    assert made["day"].str.to_datetime("%d.%m.%Y", strict=False).null_count() == 0
    assert made["time"].str.contains(r"^\d\d:\d\d$").all()
    assert made["paid"].str.to_datetime("%d.%m.%Y", strict=False).null_count() == 0
