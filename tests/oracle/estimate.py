"""NannyML's confidence-based estimate of performance (CBPE), for comparison with the project's own; runs in its
environment, ``.venv/oracle``.

    python tests/oracle/estimate.py < rows.json

Reads ``{"classes": [...], "reference": split, "day": split}`` from standard input, where a split is
``{"probabilities": [[...], ...], "predicted": [...], "true": [...]}`` of classes' positions (rows,), the day's without
``true``. Prints ``{"accuracy": ..., "f1": ...}`` of the day: F1 of the second of two classes, else the mean over all.
"""

from __future__ import annotations

import json
import sys
import warnings

warnings.filterwarnings("ignore")

import nannyml  # noqa: E402
import pandas as pd  # noqa: E402


def frame(split: dict, classes: list[str]) -> pd.DataFrame:
    columns = pd.DataFrame(split["probabilities"], columns=[f"p_{name}" for name in classes])
    for name in ("predicted", "true"):
        if name in split:
            columns[name] = split[name] if len(classes) == 2 else [classes[code] for code in split[name]]
    return columns


def main() -> None:
    given = json.load(sys.stdin)
    classes = given["classes"]
    reference, day = (frame(given[name], classes) for name in ("reference", "day"))
    binary = len(classes) == 2
    estimator = nannyml.CBPE(
        problem_type="classification_binary" if binary else "classification_multiclass",
        y_pred_proba=f"p_{classes[1]}" if binary else {name: f"p_{name}" for name in classes},
        y_pred="predicted",
        y_true="true",
        metrics=["accuracy", "f1"],
        chunk_size=len(day),
    )
    found = estimator.fit(reference).estimate(day).filter(period="analysis").to_df()
    print(json.dumps({name: float(found[name, "value"].iloc[0]) for name in ("accuracy", "f1")}))


if __name__ == "__main__":
    main()
