"""The same (machine, hour) computed in four ways, identical to the bit: training table, daily batch, a raw request to
an endpoint, and the online service with its feature state.

    python tests/benchmarks/bench_skew.py [--json] [--samples 1000] [--days 40] [--seed 5]

The hours are drawn from the given number of random days of predictive maintenance's real data below SHARED_DATA; the
daily batch is the real job, from those days' raw partitions to checked scores. Features and scores are compared with
each other. Needs the repository on PYTHONPATH, in the environment of the jobs; some minutes.
"""

from __future__ import annotations

import io
import os
import random
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
from starlette.testclient import TestClient

from include.jobs.daily.one_job import DayScorer
from include.jobs.features.feature_table import examples
from include.jobs.serve import application as endpoint_application
from include.jobs.serving.artifact import LoadedModel, load_artifact, save_artifact
from include.jobs.split_days import split_days
from include.jobs.validation.cleaning import Window, clean_table
from include.jobs.validation.reading import StoredTable
from include.models.config import LINE, load_model
from include.models.config.columns import probability_columns
from include.models.loader import estimator, feature_builder
from include.online.answering import Answering
from include.online.app import application
from include.online.backends import EndpointBackend
from include.online.service import Service
from include.online.settings import Settings
from include.online.shape import Shape
from rows import end, parser, row
from tests.include.online.conftest import FEW_TREES, MODEL, Tables, service_of
from tests.include.online.test_skew import by_day, by_request, by_state, by_training, score

DATA = Path(os.environ.get("SHARED_DATA", Path(__file__).resolve().parents[3] / "shared" / "data")) / "azure_pdm"
CONFIG = load_model(MODEL)
Answer = dict[str, object]


class ServedRuntime:
    """A SageMaker runtime with a single endpoint: the container's server."""

    def __init__(self, server: TestClient) -> None:
        self._server = server

    def invoke_endpoint(self, Body: bytes, ContentType: str, Accept: str, **_: str) -> dict[str, Any]:  # noqa: N803
        answer = self._server.post(
            "/invocations", content=Body, headers={"Content-Type": ContentType, "Accept": Accept}
        )
        answer.raise_for_status()
        return {"Body": io.BytesIO(answer.content), "InvokedProductionVariant": "AllTraffic"}


def tables_of(folder: Path) -> Tables:
    tables = CONFIG.data.tables
    read = {
        name: clean_table(StoredTable(folder, name, table), table, None, Window()) for name, table in tables.items()
    }
    return {name: clean.frame.drop(LINE) for name, clean in read.items()}


def sampled(table: pl.DataFrame, samples: int, days: int, seed: int) -> list[tuple[int, datetime]]:
    """Random hours of random days except for the data's first, in order of time."""
    draw, rows = random.Random(seed), table.select("machineID", "datetime")  # noqa: S311 - a sample
    there = sorted(set(rows["datetime"].dt.date().to_list()))[2:]
    chosen = draw.sample(there, min(days, len(there)))
    of_days = rows.filter(pl.col("datetime").dt.date().is_in(chosen)).rows()
    return sorted(draw.sample(of_days, min(samples, len(of_days))), key=lambda one: one[1])


def batch_scores(raw: Path, artifact: Path, days: set[date]) -> dict[tuple[int, datetime], Answer]:
    """What the daily batch publishes for these days, by machine and hour."""
    found: dict[tuple[int, datetime], Answer] = {}
    columns = probability_columns(CONFIG.data.classes or [])
    with tempfile.TemporaryDirectory() as name, DayScorer(CONFIG, artifact) as scorer:
        for day in sorted(days):
            partitions = Path(name, day.isoformat())
            split_days(CONFIG, raw, partitions, day - timedelta(days=1), day)
            result = scorer.score(partitions, day.isoformat(), Path(name, "scores"), Path(name, "report"))
            if not result["passed"]:
                raise RuntimeError(result["summary"])
            for part in Path(name, "scores").glob("*.parquet"):
                for one in pl.read_parquet(part).to_dicts():
                    probabilities = {label: one[column] for label, column in columns.items()}
                    answer: Answer = {"label": one["prediction"], "probabilities": probabilities}
                    found[one["machineID"], one["datetime"]] = answer
                part.unlink()
    return found


@contextmanager
def services(artifact: Path, folder: Path, loaded: LoadedModel) -> Iterator[tuple[TestClient, TestClient]]:
    """The online service with an endpoint and no state, and with the artifact and a feature state."""
    shape = Shape(CONFIG)
    with TestClient(endpoint_application(loaded, 6 * 2**20)) as server:
        backend = EndpointBackend(ServedRuntime(server), "endpoint")  # type: ignore[arg-type]
        asked = Service(shape, Answering(shape, feature_builder(MODEL), backend, None), backend, None, 1000)
        remembering = service_of(MODEL, artifact, folder / "state.db")
        told = Settings(model=MODEL, bucket="-")
        with (
            TestClient(application(told, asked), base_url="http://127.0.0.1") as by_endpoint,
            TestClient(application(told, remembering), base_url="http://127.0.0.1") as online,
        ):
            yield by_endpoint, online


def main() -> int:
    options = parser(__doc__)
    options.add_argument("--samples", type=int, default=1000)
    options.add_argument("--days", type=int, default=40)
    options.add_argument("--seed", type=int, default=5)
    given = options.parse_args()
    ways = ("the daily batch's features", "the daily batch's scores", "a raw request to an endpoint", "the online API")
    names = [f"{MODEL}: (machine, hour) of {way} that differ from training's" for way in ways]
    if not DATA.is_dir():
        missing = f"no {DATA}; SHARED_DATA names the folder"
        return end([row(name, missing, "0", None) for name in names], given)
    fleet = tables_of(DATA)
    table = feature_builder(MODEL).build_features(fleet)
    chosen = sampled(table, given.samples, given.days, given.seed)
    wrong = dict.fromkeys(ways, 0)
    with tempfile.TemporaryDirectory() as name:
        folder, rows_of = Path(name), examples(CONFIG, table)
        artifact = folder / "artifact"
        fitted = estimator(MODEL).fit(rows_of, rows_of, {**FEW_TREES, "num_boost_round": 40})
        save_artifact(artifact, CONFIG, fitted, rows_of, rows_of, {})
        loaded = load_artifact(artifact)
        published = batch_scores(DATA, artifact, {hour.date() for _, hour in chosen})
        with services(artifact, folder, loaded) as (by_endpoint, online):
            for machine, hour in chosen:
                trained = by_training(table, machine, hour)
                expected = score(loaded, trained)
                wanted = {**expected, "features": trained}
                answers = (by_request(by_endpoint, fleet, machine, hour), by_state(online, fleet, machine, hour))
                same = (
                    by_day(fleet, machine, hour) == trained,
                    published.get((machine, hour)) == expected,
                    *({key: one[key] for key in wanted} == wanted for one in answers),
                )
                for way, equal in zip(ways, same, strict=True):
                    wrong[way] += not equal
    said = f"of {len(chosen):,}, of {len({hour.date() for _, hour in chosen})} days"
    return end([row(name, f"{wrong[way]} {said}", "0", wrong[way] == 0) for name, way in zip(names, ways, strict=True)],
               given)  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())
