"""The estimate of performance before labels arrive, beside NannyML's on the same rows, drawn with known probabilities:
a reference to calibrate on, then days whose rows lie elsewhere."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from sklearn.metrics import accuracy_score, f1_score

from include.jobs.watching.answer_bins import count_probabilities
from include.jobs.watching.calibration import calibrate
from include.models.config import load_model
from include.models.config.estimating import estimated
from include.models.interface import Array, Examples

ROOT = Path(__file__).resolve().parents[4]
ENVIRONMENT = ROOT / ".venv" / "oracle"
PROGRAM = ROOT / "tests" / "oracle" / "estimate.py"
CLOSE = 0.01  # of both estimates to each other: NannyML's goes by rows, ours by bins of them
TRUE = 0.03  # of each to what was measured

pytestmark = pytest.mark.skipif(
    not (ENVIRONMENT / ".stamp").exists(), reason="NannyML is in its own environment: make oracle"
)


def drawn(rows: int, classes: int, moved: float, seed: int) -> tuple[Array, Array, Array]:
    """Overconfident probabilities (rows, classes), the likeliest classes (rows,) and the true ones."""
    draws = np.random.default_rng(seed)
    scores = draws.normal(0, 1.2, (rows, classes)) + np.linspace(0, moved, classes)
    likely = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
    true = (draws.random((rows, 1)) > likely.cumsum(axis=1)).sum(axis=1).clip(max=classes - 1)
    said = likely**1.5 / (likely**1.5).sum(axis=1, keepdims=True)
    return said, said.argmax(axis=1), true


@pytest.mark.parametrize(("model", "classes"), [("electricity", 2), ("predictive_maintenance", 4)])
@pytest.mark.parametrize("moved", [0.0, 1.0, -1.5])
def test_both_estimates_agree_and_are_near_the_truth(model: str, classes: int, moved: float, tmp_path: Path) -> None:
    names = [f"class_{number}" for number in range(classes)]
    said, labels, true = drawn(20_000, classes, 0.0, seed=1)
    asked, answered, hidden = drawn(5_000, classes, moved, seed=2)

    truth = Examples(pl.DataFrame({"row": range(len(true))}), true, names)
    calibration = calibrate(
        load_model(model), truth, said, labels, lambda rows: count_probabilities(said[rows], labels[rows]), []
    )
    assert calibration
    ours = estimated(calibration, count_probabilities(asked, answered))

    given = {
        "classes": names,
        "reference": {"probabilities": said.tolist(), "predicted": labels.tolist(), "true": true.tolist()},
        "day": {"probabilities": asked.tolist(), "predicted": answered.tolist()},
    }
    done = subprocess.run(
        [ENVIRONMENT / "bin" / "python", PROGRAM],
        input=json.dumps(given),
        capture_output=True,
        text=True,
        cwd=tmp_path,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    theirs = json.loads(done.stdout.splitlines()[-1])

    own_f1 = ours["f1" if classes == 2 else "macro_f1"]
    realised = f1_score(hidden, answered, average="binary" if classes == 2 else "macro")
    assert ours["accuracy"] == pytest.approx(theirs["accuracy"], abs=CLOSE)
    assert own_f1 == pytest.approx(theirs["f1"], abs=CLOSE)
    assert (ours["accuracy"], own_f1) == pytest.approx((accuracy_score(hidden, answered), realised), abs=TRUE)
