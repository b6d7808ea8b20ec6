"""What a training's result depends on besides its raw data and the run's parameters: exactly the code and configuration
that training the model reads, by part. So editing a schedule, or another model's folder, makes no training due.

Parts: ``code``, the shared modules that the programs of a training import, and those that its artifact predicts with;
``code of several machines``, which prepares large data; ``code of the <module>``, the model's own; ``expectations``;
sections of model.yaml, as far as they affect what is trained and whether it is registered. Hyperparameters and ranges
of a tuning are known only when a training is started: see ``train.repeats``.
"""

from __future__ import annotations

from pathlib import Path

from include.models.config import ModelConfig
from include.platform.code_parts import Parts, digest_of_files, digest_of_texts, imported_files, parts_by_model

PROGRAMS = ("prepare_data", "train_model", "evaluate_model", "serve", "daily.answering")
OF_SEVERAL_MACHINES = ("cut_data", "prepare_shards", "merge_shards")
SEVERAL_MACHINES = "code of several machines"
OWN = ("features", "estimator", "evaluation")
GENERIC = "include.models.tabular.estimator"  # for a model without its own estimator
SECTIONS = (
    *("data", "problem", "features", "split", "slices", "gates", "min_positives", "champion"),
    *("calibration", "decision", "explain", "tracking", "code"),
)
# keys of the section ``code`` that are only descriptive
WORDS = {"estimator": {"hyperparameters": {"__all__": {"meaning"}}}}


def training_parts_of_models(root: Path) -> dict[str, Parts]:
    """The parts, as digests, by model; models whose model.yaml is invalid are left out."""
    shared, several = (
        set().union(*(imported_files(root, f"include.jobs.{program}") for program in programs))
        for programs in (PROGRAMS, OF_SEVERAL_MACHINES)
    )
    return parts_by_model(root, lambda model: _parts(root, model, shared, several))


def _parts(root: Path, model: ModelConfig, shared: set[Path], several: set[Path]) -> Parts:
    folder = root / "include" / "models" / model.name
    modules = [f"include.models.{model.name}.{name}" for name in OWN]
    generic = [] if (folder / "estimator.py").is_file() else [GENERIC]
    imported = shared.union(*(imported_files(root, module) for module in [*modules, *generic]))
    own = {file for file in imported if file.is_relative_to(folder)}
    code = imported - own
    return {
        "code": digest_of_files(root, code),
        SEVERAL_MACHINES: digest_of_files(root, several - code),
        **{f"code of the {file.stem}": digest_of_files(root, [file]) for file in own if file.name != "__init__.py"},
        "expectations": digest_of_files(root, (folder / "expectations").glob("*.json")),
        **{f"model.yaml ({name})": _digest_of_section(model, name) for name in SECTIONS},
    }


def _digest_of_section(model: ModelConfig, name: str) -> str:
    return digest_of_texts([model.model_dump_json(include={name}, exclude={"code": WORDS} if name == "code" else None)])
