"""What is otherwise than in the version in production: data, code, hyperparameters, features, gates."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from include.jobs.serving.artifact import LoadedModel
from include.models.config import ConfigError, ModelConfig, load_model

SHOWN = 12  # names of features


@dataclass(frozen=True)
class Change:
    """``before`` is of the version in production, ``now`` of the candidate."""

    what: str
    before: str
    now: str


def gates_of(config: ModelConfig) -> dict[str, str]:
    """What each metric was held to, in words."""
    signs = {"min": "≥", "max": "≤"}
    found = {
        f"gate of {bound.metric}": f"{signs[bound.kind]} {bound.threshold:g}"
        for gate in config.gates
        for bound in gate.bounds
    }
    return found | {"margin to production": f"{config.champion.margin:g} of {config.champion.metric}"}


def gates_in(artifact: Path, model: str) -> dict[str, str] | None:
    """The gates in the model.yaml that an unpacked artifact has with its code; None if this code cannot read it."""
    try:
        return gates_of(load_model(model, artifact / "code" / "include" / "models"))
    except ConfigError:
        return None


def changes(
    config: ModelConfig, candidate: LoadedModel, before: LoadedModel, gates: Mapping[str, str] | None
) -> list[Change]:
    """What differs, in this order: data, code, hyperparameters, features, gates.

    Args:
        gates: of the version in production; None if they are not known.
    """
    named = [
        *_differing(_about(before), _about(candidate)),
        *_differing(_hyperparameters(before), _hyperparameters(candidate)),
        *_features(before.feature_order, candidate.feature_order),
    ]
    return named + (list(_differing(gates, gates_of(config))) if gates is not None else [])


def _about(model: LoadedModel) -> dict[str, str]:
    metadata = model.metadata
    learned = metadata.get("learned_from")
    found = {"training rows": f"{metadata['rows']['train']:,}"}
    if learned and learned["first"]:
        found["data"] = f"{str(learned['first'])[:10]} to {str(learned['last'])[:10]}"
    return found | {
        "commit": (metadata.get("git_commit") or "unknown")[:12],
        "job code": metadata.get("code_hash") or "not published",
    }


def _hyperparameters(model: LoadedModel) -> dict[str, str]:
    return {name: str(value) for name, value in model.metadata["hyperparameters"].items()}


def _differing(before: Mapping[str, str], now: Mapping[str, str]) -> Iterator[Change]:
    for name in dict.fromkeys([*now, *before]):
        if before.get(name) != now.get(name):
            yield Change(name, before.get(name, "–"), now.get(name, "–"))


def _features(before: list[str], now: list[str]) -> Iterator[Change]:
    gone, new = ([name for name in some if name not in others] for some, others in ((before, now), (now, before)))
    if gone or new:
        yield Change("features", _names("gone", gone), _names("new", new))
    elif before != now:
        yield Change("features", "in another order", f"{len(now)}, the same")


def _names(word: str, features: list[str]) -> str:
    if not features:
        return "–"
    rest = f" and {len(features) - SHOWN} more" if len(features) > SHOWN else ""
    return f"{len(features)} {word}: {', '.join(features[:SHOWN])}{rest}"
