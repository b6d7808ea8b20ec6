"""What one chunk's preparation writes for the merge."""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from include.jobs.validation.parts import Part
from include.models.errors import JobError


@dataclass
class ShardFacts:
    """Unjudged findings in each table; rows of each clean table; why features cannot be built, if so."""

    parts: Mapping[str, Part]
    rows: Mapping[str, int]
    cannot_be_built: str | None = None


def facts_file(shard: Path) -> Path:
    """Written and read by the same code in the same image."""
    return shard / "facts.pickle"


def read_facts(shards: list[Path]) -> list[ShardFacts]:
    """Raises JobError: a shard has none, or they are corrupt."""
    try:
        return [pickle.loads(facts_file(shard).read_bytes()) for shard in shards]  # noqa: S301 - the run's own
    except (OSError, pickle.UnpicklingError, EOFError) as error:
        raise JobError(
            f"a shard cannot be read ({error}). It is written by prepare_shards: clear that task."
        ) from error
