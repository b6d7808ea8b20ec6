"""The tag of the job image: a digest of what the image is made of. Equal sources, equal tag: it is built once, and a
deploy finds it with nobody passing a name along.

Run by scripts with whatever Python 3 a machine has: it imports nothing but the standard library."""

from __future__ import annotations

import argparse
import hashlib
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
SOURCES = ("Dockerfile", "requirements.txt", "bin")  # of include/jobs; the jobs' code comes from S3


def image_tag(folder: Path = ROOT / "include" / "jobs") -> str:
    digest = hashlib.sha256()
    for source in SOURCES:
        path = folder / source
        for file in sorted(path.iterdir()) if path.is_dir() else [path]:
            if file.is_file():
                content = file.read_bytes()
                digest.update(f"{file.relative_to(folder).as_posix()}\0{len(content)}\0".encode())
                digest.update(content)
    return f"sources-{digest.hexdigest()[:12]}"


if __name__ == "__main__":
    argparse.ArgumentParser(description=__doc__).parse_args()
    sys.stdout.write(image_tag() + "\n")
