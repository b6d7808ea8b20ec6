"""Rows of every model's raw tables as requests give the features computed from the tables."""

from __future__ import annotations

import importlib
import json
from datetime import timedelta

import polars as pl
import pytest

from include.jobs.serving.payload import JSON
from include.models.config import load_model, model_names
from include.models.loader import feature_builder
from include.models.raw.kinds import reading_of
from include.online.answering import Answering
from include.online.openapi import Described
from include.online.reading import loads, read_request
from include.online.shape import Shape

ROWS = 400  # of the first table; a week of half-hours and more


@pytest.mark.parametrize("model", ["abalone_age", "electricity", "machine_downtime", "tabular_classifier"])
def test_a_raw_row_comes_to_the_features_of_its_table(model: str) -> None:
    shape = Shape(load_model(model))
    table = importlib.import_module(f"include.models.{model}.simulate").simulate(3).head(ROWS)
    described = shape.config.data.tables[shape.first]
    for made in {described.row_number, described.content_key and described.content_key.column} - {None}:
        table = table.with_columns(pl.int_range(1, pl.len() + 1).alias(str(made)))
    if described.clock:
        start = described.clock.start
        ends = start + (ROWS - 1) * timedelta(minutes=described.clock.every_minutes)
        table = table.with_columns(pl.datetime_range(start, ends, "30m", eager=True).alias(described.clock.column))
    columns = {name: column for name, column in shape.tables[shape.first].columns.items() if name in table.columns}
    spelled = {name: column for name, column in columns.items() if table.schema[name] != pl.String}
    texts = table.with_columns(
        reading_of(column.kind).to_text(pl.col(name), column).alias(name) for name, column in spelled.items()
    )
    rows = texts.select(list(columns)).to_dicts()
    typed = table.with_columns(
        reading_of(column.kind).parse(pl.col(name), column).alias(name)
        for name, column in columns.items()
        if column.kind.is_time and name not in spelled
    )
    asked = rows[-1:] if shape.looks_back else rows[:3]
    content = {"instances": asked, "history": {shape.first: rows[:-1]} if shape.looks_back else {}}
    request = read_request(shape, loads(json.dumps(content).encode(), JSON))
    found = Answering(shape, feature_builder(model), None, None).features(request)[0]  # type: ignore[arg-type] # asks nobody
    expected = feature_builder(model).build_features({shape.first: typed}, with_label=False)
    expected = expected.drop(name for name in shape.config.data.not_features if name in expected.columns)
    wanted = expected.tail(1) if shape.looks_back else expected.head(3)
    assert [one.features for one in found] == wanted.to_dicts()


@pytest.mark.parametrize("model", model_names())
def test_the_example_of_its_page_comes_to_features(model: str) -> None:
    shape = Shape(load_model(model))
    for kind, told in Described(shape).requests()["content"].items():
        bodies = [one["value"] for one in told["examples"].values()] if kind == JSON else [told["example"]]
        for body in bodies:
            sent = body if isinstance(body, str) else json.dumps(body)
            request = read_request(shape, loads(sent.encode(), kind))
            [[found]] = Answering(shape, feature_builder(model), None, None).features(request)  # type: ignore[arg-type]
            assert found.error is None
