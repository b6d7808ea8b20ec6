"""Documented requests work: the reference's examples, and rows copied from the raw file."""

from __future__ import annotations

import argparse
import csv
import io
import json
import re
import shlex
from pathlib import Path

import httpx
import polars as pl
import pytest
from starlette.testclient import TestClient

from include.jobs.features.feature_table import examples
from include.jobs.serve import application
from include.jobs.serving.artifact import _raw_columns, save_artifact
from include.jobs.serving.payload import CSV, JSON, BadRequestError, Columns, parse
from include.jobs.validation.cleaning import Window, clean_table
from include.jobs.validation.reading import read_table
from include.models.abalone_age.simulate import main as simulate_abalone
from include.models.config import LINE, load_model
from include.models.loader import estimator, feature_builder
from include.models.tabular_classifier.simulate import main as simulate_milling

PAGE = Path(__file__).resolve().parents[3] / "docs" / "reference" / "endpoint.md"
COMMAND = "aws sagemaker-runtime invoke-endpoint "
FEW = {"num_boost_round": 5, "n_estimators": 5}


def served(model: str, folder: Path) -> TestClient:
    """The endpoint of a briefly trained model."""
    config = load_model(model)
    tables = {
        name: clean_table(read_table(folder, name, table), table, config.data.time, Window()).frame.drop(LINE)
        for name, table in config.data.tables.items()
    }
    rows = examples(config, feature_builder(model).build_features(tables))
    few = {name: value for name, value in FEW.items() if name in config.training.hyperparameters}
    fitted = estimator(model).fit(rows, rows, {**config.training.hyperparameters, **few})
    return TestClient(application(save_artifact(folder / "model", config, fitted, rows, rows, {}), 6 << 20))


def asked(client: TestClient, body: str, content_type: str, accept: str) -> httpx.Response:
    headers = {"Content-Type": content_type, "Accept": accept}
    return client.post("/invocations", content=body.encode(), headers=headers)


def documented() -> list[argparse.Namespace]:
    parser = argparse.ArgumentParser()
    for option in ("endpoint-name", "content-type", "accept", "body", "cli-binary-format"):
        parser.add_argument(f"--{option}", required=True)
    parser.add_argument("outfile")
    blocks = re.split(r"^```\w*\n", PAGE.read_text(encoding="utf-8"), flags=re.MULTILINE)[1::2]
    commands = [part for block in blocks for part in block.split(COMMAND)[1:]]
    return [parser.parse_args(shlex.split(command.replace("\\\n", " "))) for command in commands]


def test_documented_requests_are_answered(tmp_path: Path) -> None:
    simulate_abalone(["--out", str(tmp_path), "--rows", "400"])
    client = served("abalone_age", tmp_path)
    found = documented()
    assert len(found) == 3
    for request in found:
        assert request.endpoint_name == "abalone-age-production"
        answer = asked(client, request.body, request.content_type, request.accept)
        assert answer.status_code == 200, answer.text
        values = answered_values(answer.text, request.accept)
        assert len(values) == (1 if request.content_type == "application/json" else 2)
        assert all(1 <= value <= 30 for value in values)  # rings


def answered_values(text: str, accept: str) -> list[float]:
    if accept == "text/csv":
        return [float(line) for line in text.splitlines()]
    found = (
        json.loads(text)["predictions"] if accept == "application/json" else list(map(json.loads, text.splitlines()))
    )
    assert all(low <= one["value"] <= high for one in found for low, high in [one["interval"]])
    return [one["value"] for one in found]


def test_rows_of_the_raw_file_are_answered_as_their_features_are(tmp_path: Path) -> None:
    """Besides the features, they have the key, the label, and the failure modes that features.exclude leaves out."""
    simulate_milling(["--out", str(tmp_path)])
    client = served("tabular_classifier", tmp_path)
    lines = (tmp_path / "ai4i2020.csv").read_text(encoding="utf-8").splitlines(keepends=True)[:4]
    raw = asked(client, "".join(lines), "text/csv", "application/json")
    assert raw.status_code == 200, raw.text
    assert len(raw.json()["predictions"]) == 3
    rows = list(csv.DictReader(io.StringIO("".join(lines))))
    assert asked(client, json.dumps(rows), "application/json", "application/json").json() == raw.json()
    order = json.loads((tmp_path / "model" / "feature_order.json").read_text())
    bare = pl.DataFrame(rows).select(order).write_csv(include_header=False)
    assert asked(client, bare, "text/csv", "application/json").json() == raw.json()


def test_features_may_be_called_as_the_raw_file_calls_them(tmp_path: Path) -> None:
    config = load_model("machine_downtime")
    features = ["voltage_v", "torque_nm", "vibration_ratio"]
    found = _raw_columns(config, features)
    assert found["feature_headers"] == {"Voltage(volts)": "voltage_v", "Torque(Nm)": "torque_nm"}
    assert {"Dates", "date", "Downtime", "Machine_ID", "Cutting(kN)"} <= set(found["ignored_columns"])
    columns = Columns(features, frozenset(found["ignored_columns"]), headers=found["feature_headers"])
    body = b"Machine_ID,Torque(Nm),vibration_ratio,Voltage(volts)\nL1,1,2,3\n"
    assert parse(body, CSV, columns).rows() == [(3.0, 1.0, 2.0)]
    row = b'{"Torque(Nm)": 1, "vibration_ratio": 2, "voltage_v": 3}'
    assert parse(row, JSON, columns).rows() == [(3.0, 1.0, 2.0)]
    with pytest.raises(BadRequestError, match="'torque_nm' is named twice"):
        parse(b'{"Torque(Nm)": 1, "vibration_ratio": 2, "voltage_v": 3, "torque_nm": 4}', JSON, columns)
