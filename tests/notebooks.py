"""Runs notebooks as Jupyter would, cell after cell in one namespace: ``python tests/notebooks.py NOTEBOOK...``.

Environment variables tell the notebooks which stack to use. The value of a cell's last expression is printed. The exit
status is 1 if a cell fails, which is shown with its traceback, or if a notebook was saved with its output.
"""

from __future__ import annotations

import ast
import json
import sys
import traceback
from pathlib import Path


def run(notebook: Path) -> bool:
    """Whether every cell succeeded."""
    cells = [cell for cell in json.loads(notebook.read_text(encoding="utf-8"))["cells"] if cell["cell_type"] == "code"]
    if any(cell["outputs"] or cell["execution_count"] for cell in cells):
        print(f"{notebook}: saved with its output. nbstripout takes it out.")
        return False
    namespace: dict[str, object] = {"__name__": "__main__"}
    for number, cell in enumerate(cells, 1):
        tree = ast.parse("".join(cell["source"]))
        last = ast.Expression(tree.body.pop().value) if tree.body and isinstance(tree.body[-1], ast.Expr) else None
        try:
            exec(compile(tree, f"{notebook.name}, cell {number}", "exec"), namespace)  # noqa: S102 - that is its purpose
            if last:
                print(eval(compile(last, f"{notebook.name}, cell {number}", "eval"), namespace))  # noqa: S307 - likewise
        except Exception:  # noqa: BLE001 - whatever a cell raises
            traceback.print_exc()
            return False
    return True


if __name__ == "__main__":
    sys.exit(0 if all(run(Path(name)) for name in sys.argv[1:]) else 1)
