"""An artifact as an MLflow model: what ``mlflow.pyfunc.load_model`` loads, with a signature and without a pickle.

The model's folder in MLflow holds the artifact and its code; ``_load_pyfunc`` is the function that MLflow calls.
"""

from __future__ import annotations

import shutil
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from include.jobs.serving.artifact import LIBRARIES, LoadedModel, load_artifact
from include.models.config.columns import probability_columns
from include.models.raw.kinds import feature_kind

if TYPE_CHECKING:
    import pandas as pd

CODE = "code"
NEEDED = (*LIBRARIES, "pandas", "pyarrow", "pydantic", "pyyaml", "scikit-learn")


class ServedModel:
    """Predicts a pandas frame of features: label and a probability per class, or the value."""

    def __init__(self, loaded: LoadedModel) -> None:
        self.loaded = loaded

    def predict(self, features: pd.DataFrame, params: dict[str, Any] | None = None) -> pd.DataFrame:
        found = self.loaded.answers(pl.from_pandas(features))
        if "probabilities" in found.columns:
            probabilities = found["probabilities"].struct.unnest()
            found = found.select("label").hstack(probabilities.rename(probability_columns(probabilities.columns)))
        return found.to_pandas()


def _load_pyfunc(path: str) -> ServedModel:
    return ServedModel(load_artifact(Path(path)))


def write_mlflow_model(artifact: Path, features: pl.DataFrame, folder: Path) -> None:
    """Writes an unpacked artifact as an MLflow model.

    Args:
        features: any rows that the model can predict; the signature's names and kinds come from them.
        folder: where to write; must not be there.
    """
    from mlflow import pyfunc  # seconds to import
    from mlflow.models import ModelSignature, infer_signature
    from mlflow.types import ColSpec, Schema, TensorSpec

    sample = features.head(5)
    answer = _load_pyfunc(str(artifact)).predict(sample.to_pandas())
    # every value may be missing, which a signature inferred from rows would not allow
    inputs: list[ColSpec | TensorSpec] = [
        ColSpec(feature_kind(dtype).mlflow, name, False) for name, dtype in sample.schema.items()
    ]
    signature = ModelSignature(Schema(inputs), infer_signature(answer).inputs)
    data = folder.with_name(f"{folder.name}-data")
    shutil.copytree(artifact, data, ignore=shutil.ignore_patterns(CODE))
    pyfunc.save_model(
        path=folder,
        loader_module=__name__,
        data_path=str(data),
        code_paths=[str(path) for path in sorted((artifact / CODE).iterdir())],
        signature=signature,
        pip_requirements=[f"{name}=={version(name)}" for name in dict.fromkeys(NEEDED)],
    )
