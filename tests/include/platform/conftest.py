from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from include.platform.code_bundle import ROOT, code_files


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A copy of the job code and the models, to edit."""
    for name, file in code_files(ROOT):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(file, tmp_path / name)
    return tmp_path
