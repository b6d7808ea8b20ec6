"""A model refitted on all rows: with the choices of its first fit, close to it, and as a normal artifact."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from include.jobs.evaluation.registered import Registered, fit_on_all, pack, require_refit
from include.jobs.features.feature_table import WHOLE, examples, read_split
from include.jobs.features.learned_rows import learned
from include.jobs.serving.archive import unpack
from include.jobs.serving.artifact import LoadedModel, load_artifact
from include.models.config import ModelConfig, load_model
from include.models.config.files import SPLITS
from include.models.config.split import Refit
from include.models.errors import JobError
from include.models.loader import estimator
from tests.include.jobs.job_programs import MODEL, Trained


def refitting(config: ModelConfig) -> ModelConfig:
    return config.model_copy(update={"split": config.split.model_copy(update={"refit": Refit()})})


@pytest.fixture(scope="module")
def candidate(trained: Trained) -> LoadedModel:
    return load_artifact(trained.model)


@pytest.fixture(scope="module")
def registered(
    candidate: LoadedModel, trained: Trained, features: Path, tmp_path_factory: pytest.TempPathFactory
) -> Registered:
    folder, config = tmp_path_factory.mktemp("whole"), refitting(load_model(MODEL))
    for name in SPLITS:
        (folder / name).symlink_to(features / name)
    (folder / WHOLE).mkdir()
    pl.concat([read_split(features / name) for name in SPLITS]).write_parquet(folder / WHOLE / "features.parquet")
    golden = (trained.model / "golden_requests.json").read_text()
    test = examples(config, read_split(features / "test"))
    return fit_on_all(config, candidate, golden, folder, test, folder / "artifact")


def test_it_has_learned_every_row_with_the_rounds_and_the_judgement_of_the_first_fit(
    registered: Registered, candidate: LoadedModel, features: Path
) -> None:
    assert registered.facts["rows"] == sum(len(read_split(features / name)) for name in SPLITS)
    known = learned(registered.folder, registered.model.metadata["learned_from"], read_split(features / "test"))
    assert known is not None
    assert known.all()
    assert registered.model.model.current_iteration() == candidate.model.current_iteration()
    assert registered.model.judgement == candidate.judgement
    assert registered.facts["metrics"]["macro_f1"]


def test_it_answers_nearly_as_the_first_fit(registered: Registered) -> None:
    assert 0 < registered.facts["distance"] < Refit().distance


def test_the_same_files_are_packed_to_the_same_bytes(registered: Registered, tmp_path: Path) -> None:
    for name in ("one", "other"):
        pack(registered.folder, tmp_path / name)
    first, second = ((tmp_path / name / "model.tar.gz").read_bytes() for name in ("one", "other"))
    assert first == second
    found = load_artifact(unpack(tmp_path / "one", tmp_path / "unpacked"))
    assert found.metadata == registered.model.metadata


def test_an_estimator_that_cannot_is_refused_before_it_trains() -> None:
    config = load_model(MODEL)
    require_refit(config, object())  # type: ignore[arg-type]
    with pytest.raises(JobError, match=r"estimator.py has no function 'refit'"):
        require_refit(refitting(config), object())  # type: ignore[arg-type]


@pytest.mark.parametrize("model", ["abalone_age", "electricity", "machine_downtime", "tabular_classifier"])
def test_shipped_estimators_can(model: str) -> None:
    require_refit(refitting(load_model(model)), estimator(model))
