"""No code asks for a model by name: outside a model's own folder its name does not occur.

What holds for one model only belongs into its folder, or is a general ability that model.yaml asks for. Tests and
docs are free to name models; so are the programs in ``FREE``, which prove the whole on one model.
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
