"""A folder that ``make new-model`` wrote goes through every job without another edit."""

from __future__ import annotations

import json
import shutil
import tarfile
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from include.models.tabular.new_model import new_model
from tests.include.jobs.job_programs import Jobs


def orders(rows: int = 900) -> pl.DataFrame:
    """Orders of a bicycle shop, some of them late: a file that the repository has never seen."""
    rng = np.random.default_rng(5)
    price, shop = rng.lognormal(3, 1, rows), rng.choice(["Graz", "Linz, old town", "Wien"], rows)
    late = np.log(price) + (shop == "Wien") + rng.normal(0, 0.3, rows) > 4
    return pl.DataFrame(
        {
            "order no": [f"A-{number}" for number in range(rows)],
            "price": [None if number % 11 == 0 else round(value, 2) for number, value in enumerate(price)],
            "shop": shop,
            "outcome": np.where(late, "late", "in time"),
        }
    )


@pytest.mark.slow
def test_it_goes_through_every_job_without_another_edit(jobs: Jobs, tmp_path: Path) -> None:
    code = Path(shutil.copytree(jobs.code, tmp_path / "code"))
    orders().write_csv(tmp_path / "orders.csv")
    new_model("bicycle_orders", "binary", tmp_path / "orders.csv", folder=code / "include" / "models")
    own = Jobs(code)

    def run(name: str, *arguments: object, **variables: str) -> None:
        done = own.run(name, *arguments, **variables)
        assert done.returncode == 0, done.stderr

    model = ("--model", "bicycle_orders")
    raw, validated, features, trained = (tmp_path / name for name in ("raw", "validated", "features", "model"))
    raw.mkdir()
    shutil.copy(tmp_path / "orders.csv", raw)
    run("validate_raw_data", *model, "--raw", raw, "--validated", validated, "--report", tmp_path / "report")
    assert json.loads((tmp_path / "report" / "validation.json").read_text())["passed"]
    run("build_features", *model, "--validated", validated, "--features", features)
    run("validate_features", *model, "--features", features, "--report", tmp_path / "checked")
    assert json.loads((tmp_path / "checked" / "validation.json").read_text())["passed"]
    channels = {f"SM_CHANNEL_{name.upper()}": str(features / name) for name in ("train", "validation")}
    run("train_model", SM_HPS=json.dumps({"model": "bicycle_orders"}), SM_MODEL_DIR=str(trained), **channels)
    (tmp_path / "packed").mkdir()
    with tarfile.open(tmp_path / "packed" / "model.tar.gz", "w:gz") as packed:
        packed.add(trained, ".")
    places = ("--artifact", tmp_path / "packed", "--features", features, "--validated", validated)
    run("evaluate_model", *model, *places, "--evaluation", tmp_path / "evaluation")
    assert json.loads((tmp_path / "evaluation" / "metrics.json").read_text())["metrics"]["roc_auc"] > 0.9
    golden = json.loads((trained / "golden_requests.json").read_text())
    assert {type(golden[0]["features"]["shop"]), golden[0]["expected"]["label"]} <= {str, "late", "in time"}
