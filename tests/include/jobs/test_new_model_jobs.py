"""A folder written by ``make new-model`` goes through every job without edits. Files in the format that its model.yaml
declares are read the same way in training, in a day's batch (whole or in chunks) and by an endpoint."""

from __future__ import annotations

import json
import shutil
import tarfile
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from include.models.tabular.column_profile import Wishes
from include.models.tabular.new_model import new_model
from tests.include.jobs.job_programs import Jobs

DAY = "2024-02-10"
START = datetime.fromisoformat("2024-01-01 05:00")


def orders(rows: int = 1500) -> str:
    """Orders of a bicycle shop as its till exports them, some of them late: decimal commas, a currency, a word for
    missing values, separate date and time, non-ASCII letters."""
    rng = np.random.default_rng(5)
    price, shop = rng.lognormal(3, 1, rows), rng.choice(["Graz", " Linz; Altstadt", "Wörgl "], rows)
    late = np.log(price) + (shop == "Wörgl ") + rng.normal(0, 0.3, rows) > 4
    lines = ["Datum;Uhrzeit;Preis;Filiale;Ausgang;"]
    for row in range(rows):
        moment = START + timedelta(minutes=40 * row)
        money = "?" if row % 11 == 0 else f"{price[row] * 100:,.2f} €".translate(str.maketrans(",.", ".,"))
        lines.append(
            f'{moment:%d.%m.%Y};{moment:%H:%M};{money};"{shop[row]}";{("zu spät", "pünktlich")[int(not late[row])]};'
        )
    return "\r\n".join(lines) + "\r\n"


COMPARE = """
import json, sys
from pathlib import Path
import polars as pl
from include.jobs.serving.artifact import load_artifact
from include.jobs.serving.payload import parse
from include.jobs.validation.reading import read_table
from include.models.config import load_model
model, day, shards = map(Path, sys.argv[1:])
loaded, table = load_artifact(model), load_model("bicycle_orders").data.tables["rows"]
raw = read_table(day, "rows", table).lines.drop("file_line")
as_csv = loaded.answers(parse(raw.write_csv().encode(), "text/csv", loaded.columns))
as_json = loaded.answers(parse(json.dumps(raw.to_dicts()).encode(), "application/json", loaded.columns))
cells = pl.concat([pl.read_csv(file, has_header=False, infer_schema=False) for file in sorted(shards.glob("*.csv"))])
scored = loaded.answers(parse(cells[:, 1:].write_csv(include_header=False).encode(), "text/csv", loaded.columns))
golden = json.loads((model / "golden_requests.json").read_text())
rows = pl.DataFrame([one["features"] for one in golden])
asked = loaded.answers(parse(rows.write_csv(include_header=False).encode(), "text/csv", loaded.columns))
assert [one["expected"]["label"] for one in golden] == asked["label"].to_list()
answers = [sorted(map(str, found.rows())) for found in (as_csv, as_json, scored)]
print(json.dumps([len(answers[0]), answers[0] == answers[1] == answers[2], len(set(answers[0]))]))
"""


@pytest.mark.slow
def test_it_goes_through_every_job_without_another_edit(jobs: Jobs, tmp_path: Path) -> None:
    code = Path(shutil.copytree(jobs.code, tmp_path / "code"))
    file = tmp_path / "orders.csv"
    file.write_bytes(orders().encode("cp1252"))
    new_model("bicycle_orders", "binary", file, Wishes(assume=True), folder=code / "include" / "models")
    own = Jobs(code)

    def run(name: str, *arguments: object, **variables: str) -> None:
        done = own.run(name, *arguments, **variables)
        assert done.returncode == 0, done.stderr

    model = ("--model", "bicycle_orders")
    raw, validated, features, trained = (tmp_path / name for name in ("raw", "validated", "features", "model"))
    raw.mkdir()
    shutil.copy(file, raw)
    run("validate_raw_data", *model, "--raw", raw, "--validated", validated, "--report", tmp_path / "report")
    assert json.loads((tmp_path / "report" / "validation.json").read_text())["passed"]
    run("build_features", *model, "--validated", validated, "--features", features)
    run("validate_features", *model, "--features", features, "--report", tmp_path / "checked")
    assert json.loads((tmp_path / "checked" / "validation.json").read_text())["passed"]
    channels = {f"SM_CHANNEL_{name.upper()}": str(features / name) for name in ("train", "validation")}
    channels["SM_OUTPUT_DATA_DIR"] = str(tmp_path / "output")
    run("train_model", SM_HPS=json.dumps({"model": "bicycle_orders"}), SM_MODEL_DIR=str(trained), **channels)
    packed = tmp_path / "packed"
    packed.mkdir()
    with tarfile.open(packed / "model.tar.gz", "w:gz") as archive:
        archive.add(trained, ".")
    places = ("--artifact", packed, "--features", features, "--validated", validated)
    run("evaluate_model", *model, *places, "--evaluation", tmp_path / "evaluation")
    assert json.loads((tmp_path / "evaluation" / "metrics.json").read_text())["metrics"]["roc_auc"] > 0.9
    golden = json.loads((trained / "golden_requests.json").read_text())
    assert {golden[0]["features"]["Filiale"]} <= {"Graz", "Linz; Altstadt", "Wörgl"}
    assert "," in next(one["features"]["Preis"] for one in golden if one["features"]["Preis"])
    days, day = tmp_path / "days", tmp_path / "days" / f"date={DAY}"
    run("split_days", *model, "--raw", raw, "--days", days, "--first", DAY, "--last", DAY)
    small, large = tmp_path / "small", tmp_path / "large"
    for folder in (small, large):
        checked = ("--validated", folder / "clean", "--report", folder / "report")
        run("validate_input", *model, "--partitions", days, "--day", DAY, *checked)
        scored = ("--artifact", packed, "--features", folder / "features", "--day", DAY)
        run("build_features", *model, "--validated", folder / "clean", *scored)
        _cut_days_from_now_on(code)
    for folder in (small, large):
        done = own.run_code(COMPARE, trained, day, folder / "features" / "rows")
        assert done.returncode == 0, done.stderr
        rows, same, different = json.loads(done.stdout)
        assert (rows, same) == (36, True)
        assert different > 10
    assert len(list((large / "clean").glob("chunk-*.tar"))) > len(list((small / "clean").glob("chunk-*.tar"))) == 1
    assert _shown(large) == _shown(small)


def _cut_days_from_now_on(code: Path) -> None:
    """Cut a file into chunks, however small it is."""
    program = code / "include" / "jobs" / "daily" / "chunks.py"
    text = program.read_text(encoding="utf-8")
    program.write_text(text.replace("count = math.ceil(size / (chunk_mb * 2**20))", "count = 3"), encoding="utf-8")


def _shown(folder: Path) -> dict[str, object]:
    verdict = json.loads((folder / "report" / "validation.json").read_text())
    return {name: verdict[name] for name in ("passed", "summary") if name in verdict}
