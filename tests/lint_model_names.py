"""No code refers to a model by name: a model's name occurs only in its own folder.

Behaviour of a single model belongs in its folder, or becomes a general feature that model.yaml turns on. Tests and docs
may name models; so may the programs in ``FREE``, which test the whole system with one model.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
MODELS = ROOT / "include" / "models"
FREE = (ROOT / "include" / "ops" / "mwaa",)


def findings() -> list[str]:
    names = sorted(path.parent.name for path in MODELS.glob("*/model.yaml"))
    word = re.compile(rf"\b({'|'.join(names)})\b")
    own = [MODELS / name for name in names]
    found = []
    for folder in ("dags", "plugins", "include"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            if any(path.is_relative_to(place) for place in (*own, *FREE)):
                continue
            for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
                if match := word.search(line):
                    found.append(f"{path.relative_to(ROOT)}:{number}: names the model {match[0]}")
    return found


if __name__ == "__main__":
    sys.exit("\n".join(findings()) or 0)
