"""Phrases that are not native English, or not the field's terms, in code, comments, messages and docs.

Each comes with what to write instead. A line that means the phrase literally ends with ``prose: allowed``.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PHRASES = {
    r"(?<!there )\bis no (number|day|date|file|version|column|feature|class|metric|artifact)\b": "is not a ...",
    r"\bare no (numbers|features|tables|words)\b": "are not ...",
    r"\bstands? before\b": "precedes, or overrides",
    r"\b(the )?(one|class) (that is )?looked for\b": "the positive class",
    r"\banew\b": "again, or a verb with re-",
    r"\bmend(s|ed|ing)?\b": "fix, repair, correct",
    r"\bthe \d\. of\b": "1st, 2nd, 3rd",
    r"\benvironment'?s? facts\b": "settings",
    r"\bis not able to be\b": "cannot be",
    r"\bin the meanwhile\b": "meanwhile",
    r"\binformations\b": "information",
    r"\bactual (version|state) of\b(?= today)": "current",
    r"\b(in|as|with|has|have|gets?|is|needs|under|makes?) an? ([\w'.-]+ ){1,2}of (its|their) own\b": "its own ...",
    r"\bby (itself|themselves)\b": "on its own, separately, or automatically",
    r"\bfor ever\b": "forever",
    r"\bwhere there (is|are) none\b": "if there is none",
    r"\b(is|was|are|were) put right\b": "corrected",
    r"\bin vain\b": "without success",
    r"\bare called after\b": "are named after",
    r"\bheader alone\b": "only a header",
    r"\bneeds a person\b": "needs attention",
    r"\bperson at the keyboard\b": "the user",
    r"\b(is|are) there already\b": "exists already",
    r"\bstands? still\b": "is stuck, is constant",
    r"\bdays gone by\b": "past days",
    r"\bwith commas between\b": "separated by commas",
    r"\bcannot be had\b": "is not available",
    r"\bis no (JSON|YAML|UTF-8|CSV|Parquet|PDF)\b": "is not ...",
    r"\bgoes on where it was\b": "continues where it stopped",
    r"\bsay(s|ing)? so (as|and|of) it\b": "report it",
    r"\bheld against\b": "compared with, or validated against",
    r"\bcounts? for nothing\b": "does not count, is ignored",
    r"\bin this (very )?moment\b": "at this moment, just",
    r"\bwhat (came|comes|became|becomes) of (it|them)\b": "the result, what happens to it",
    r"\bcould not be had\b": "is not available",
    r"\bthe (newest|worst|latest) first\b": "newest first, worst first",
    r"\bas a person types it\b": "as a user types it",
    r"\b(broken|broke|breaks) off\b": "interrupted",
    r"\bNone where\b": "None if",
    r"(?<!makes )\ball the same\b": "anyway",
    r"\bgoes on\b": "continues",
    r"\b(is|are|was|were) told of\b": "is notified about",
    r"\bput together\b": "assembled, combined",
    r"\bknows no\b": "does not know, has no",
    r"\bat the (least|most)\b": "at least, at most",
    r"\b(is|are|was|were) looked for\b": "is looked up, or name who looks",
    r"\bstays? as it is\b": "is unchanged",
}
ENDINGS = {".py", ".md", ".yaml", ".html", ".jinja", ".sh", ".toml", ".ipynb"}


def findings() -> list[str]:
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, check=True, capture_output=True, text=True).stdout
    found = []
    for name in listed.splitlines():
        path = ROOT / name
        if path.suffix not in ENDINGS or path == Path(__file__).resolve() or not path.is_file():
            continue
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            if "prose: allowed" in line:
                continue
            for phrase, better in PHRASES.items():
                if match := re.search(phrase, line, re.IGNORECASE):
                    found.append(f"{name}:{number}: '{match[0]}': write {better}")
    return found


if __name__ == "__main__":
    sys.exit("\n".join(findings()) or 0)
