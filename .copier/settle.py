"""What copier runs in a team's new repository: puts the answers into the files that hold them.

Standard library alone, as it runs before anything is set up. It may run again over its own work.
"""

from __future__ import annotations

import argparse
import itertools
import json
import re
from pathlib import Path
from typing import Any

STAGES = ("dev", "staging", "prod")
EXAMPLES = ("machine_downtime", "abalone_age", "electricity", "tabular_classifier")


def settle(root: Path, answers: dict[str, Any]) -> None:
    for file in sorted((root / "include" / "ops" / "mwaa" / "environments").glob("*.yaml")):
        text = file.read_text(encoding="utf-8")
        for key, value in (
            ("name", f"{answers['name']}-{file.stem}"),
            ("region", answers["region"]),
            ("  AlertEmail", answers["alert_email"]),
        ):
            text = re.sub(rf"^{key}: .*$", lambda _, line=f"{key}: {value}": line, text, flags=re.MULTILINE)
        file.write_text(text, encoding="utf-8")
    settle_workflows(root / ".github" / "workflows", [name for name in STAGES if name in answers["environments"]])
    gone = [name for name in EXAMPLES if name not in answers["models"]]
    for file in (root / "docs" / "reference" / "dags.md", root / "README.md"):
        lines = file.read_text(encoding="utf-8").splitlines(keepends=True)
        rows = [line for line in lines if not (line.startswith("| `") and any(name in line for name in gone))]
        file.write_text("".join(rows), encoding="utf-8")


def settle_workflows(folder: Path, stages: list[str]) -> None:
    """Each workflow offers these environments, and a commit goes from one to the next."""
    for file in sorted(folder.glob("*.yaml")):
        text = file.read_text(encoding="utf-8").replace(
            f"options: [{', '.join(STAGES)}]", f"options: [{', '.join(stages)}]"
        )
        for stage in set(STAGES) - set(stages):
            text = re.sub(rf"\n  {stage}:\n(    .*\n)+", "", text)
        for before, stage in itertools.pairwise(stages):
            text = re.sub(rf"(\n  {stage}:\n    needs: \[image, )\w+", rf"\g<1>{before}", text)
        file.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--answers", type=json.loads, required=True)
    settle(Path.cwd(), parser.parse_args().answers)
