"""The report's plots, as SVG text: no display, no files, no script."""

from __future__ import annotations

import io
from collections.abc import Callable

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from sklearn.metrics import precision_recall_curve

from include.models.interface import Array

COLOURS = ("#2f6f9f", "#d1662b", "#3a8f5c", "#8a4f9e", "#b8972a", "#5b6b7a")
MOST_POINTS = 400
MOST_FEATURES = 20
FEW_ROWS = 30
STYLE = {
    "font.family": "sans-serif",
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": "#999",
    "axes.labelcolor": "#333",
    "xtick.color": "#555",
    "ytick.color": "#555",
    "svg.fonttype": "none",
    "svg.hashsalt": "report",
}


def svg(draw: Callable[[Axes], None], width: float = 5.6, height: float = 3.6) -> str:
    """A plot drawn by ``draw`` on fresh axes, as an <svg> element; the same drawing gives the same text."""
    with mpl.rc_context(STYLE):  # type: ignore[arg-type] # it wants every key spelled as a literal
        figure = Figure(figsize=(width, height), layout="constrained")
        draw(figure.subplots())
        text = io.StringIO()
        figure.savefig(text, format="svg", transparent=True, metadata={"Date": None})
    content = text.getvalue()
    return content[content.index("<svg") :]


def confusion_matrix(axes: Axes, counts: Array, classes: list[str]) -> None:
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1, aspect="auto")
    for row, column in np.ndindex(*counts.shape):
        colour = "white" if shares[row, column] > 0.5 else "#333"
        axes.text(column, row, f"{counts[row, column]:,}", ha="center", va="center", color=colour)
    axes.set_xticks(range(len(classes)), classes)
    axes.set_yticks(range(len(classes)), classes)
    axes.set_xlabel("predicted")
    axes.set_ylabel("true (colour: share of the row)")
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0)


def precision_recall(axes: Axes, target: Array, probabilities: Array, classes: list[str], skip: int) -> None:
    """One curve per class that occurs, except for the one to skip (the majority, whose curve is uninformative)."""
    for index, name in enumerate(classes):
        if index == skip or not np.any(target == index):
            continue
        precision, recall, _ = precision_recall_curve(target == index, probabilities[:, index])
        # from the highest threshold down: at every step of recall, the precision with which it is first reached
        _, keep = np.unique(np.round(recall[::-1] * MOST_POINTS), return_index=True)
        axes.plot(
            recall[::-1][keep], precision[::-1][keep], label=name, color=COLOURS[index % len(COLOURS)], linewidth=1.6
        )
    axes.set(xlabel="recall", ylabel="precision", xlim=(0, 1.02), ylim=(0, 1.03))
    axes.legend(frameon=False, loc="lower left")


def calibration(axes: Axes, probability: Array, happened: Array, name: str) -> None:
    """Observed rate by predicted probability, in ten bins with their numbers of rows; hollow where they are few."""
    bins = np.minimum((probability * 10).astype(int), 9)
    counts = np.bincount(bins, minlength=10)
    filled = np.flatnonzero(counts)
    given = np.bincount(bins, probability, minlength=10)[filled] / counts[filled]
    found = np.bincount(bins, happened, minlength=10)[filled] / counts[filled]
    axes.plot([0, 1], [0, 1], color="#bbb", linewidth=1, linestyle="--")
    faces = [COLOURS[0] if rows >= FEW_ROWS else "white" for rows in counts[filled]]
    axes.scatter(given, found, s=34, c=faces, edgecolors=COLOURS[0], zorder=3)
    for x, y, rows in zip(given, found, counts[filled], strict=True):
        axes.annotate(f"{rows:,}", (x, y), textcoords="offset points", xytext=(6, -9), fontsize=7, color="#777")
    axes.set(
        xlabel=f"predicted probability of {name}",
        ylabel="how often it came true",
        xlim=(-0.02, 1.1),
        ylim=(-0.05, 1.05),
    )


def importance(axes: Axes, shares: dict[str, float], unit: str) -> None:
    top = sorted(shares.items(), key=lambda item: item[1])[-MOST_FEATURES:]
    axes.barh([name for name, _ in top], [share for _, share in top], color=COLOURS[0], height=0.7)
    axes.set_xlabel(unit)
    axes.tick_params(axis="y", length=0)


def over_time(axes: Axes, weeks: Array, predicted: list[float], happened: list[float], unit: str) -> None:
    axes.plot(weeks, happened, color=COLOURS[1], linewidth=1.6, label="happened")
    axes.plot(weeks, predicted, color=COLOURS[0], linewidth=1.6, linestyle="--", label="predicted")
    axes.set_ylabel(unit)
    axes.set_ylim(bottom=0)
    axes.tick_params(axis="x", rotation=30)
    axes.legend(frameon=False, loc="upper left", ncols=2)


def values(axes: Axes, target: Array, predictions: Array) -> None:
    """Predicted against true values of a regression."""
    ends = [float(min(target.min(), predictions.min())), float(max(target.max(), predictions.max()))]
    axes.plot(ends, ends, color="#bbb", linewidth=1, linestyle="--")
    keep = np.linspace(0, len(target) - 1, min(len(target), 5 * MOST_POINTS)).astype(int)
    axes.scatter(target[keep], predictions[keep], s=6, alpha=0.4, color=COLOURS[0], linewidths=0)
    axes.set(xlabel="true", ylabel="predicted")
