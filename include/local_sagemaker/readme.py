"""Writes the README's lists of what is supported, from the code, or checks them.

python -m include.local_sagemaker.readme [--check]
"""

from __future__ import annotations

import sys
from pathlib import Path

from include.local_sagemaker import server  # noqa: F401 - imports what registers operations
from include.local_sagemaker.pages.support import markdown

FILE = Path(__file__).with_name("README.md")
BEGIN, END = "<!-- support -->\n", "<!-- /support -->"


def main(arguments: list[str]) -> int:
    text = FILE.read_text(encoding="utf-8")
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    current = f"{before}{BEGIN}{markdown()}\n{END}{after}"
    if "--check" in arguments and text != current:
        print(f"{FILE}: its lists are stale; run: python -m include.local_sagemaker.readme", file=sys.stderr)
        return 1
    FILE.write_text(current, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
