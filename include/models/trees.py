"""What each feature adds to a tree model's prediction: TreeSHAP, computed by LightGBM.

Only the class that a row is labelled with is explained: its trees are extracted from the model, which is faster by the
number of classes, and gives the same numbers. Lundberg, Erion, Lee, "Consistent Individualized Feature
Attribution for Tree Ensembles", 2018, https://arxiv.org/abs/1802.03888.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from weakref import WeakKeyDictionary

import lightgbm as lgb
import numpy as np
import polars as pl

from include.models.interface import Array, Contributions

TREE = re.compile(r"^Tree=\d+", re.MULTILINE)
END = "end of trees"
ALONE = {"num_class": "1", "num_tree_per_iteration": "1", "objective": "regression"}
BLOCK = 262_144  # rows
FEW_ROWS = 64  # up to here, starting threads costs more than they save

_of_class: WeakKeyDictionary[lgb.Booster, dict[int, lgb.Booster]] = WeakKeyDictionary()


def in_blocks(features: pl.DataFrame, predict: Callable[[pl.DataFrame], object]) -> Array:
    """The answers to all rows, of which no more than a block's are there as a matrix."""
    if len(features) <= BLOCK:
        return np.asarray(predict(features))
    return np.concatenate([np.asarray(predict(rows)) for rows in features.iter_slices(BLOCK)])


def contributions(booster: lgb.Booster, names: Sequence[str], inputs: Array, labels: Array | None) -> Contributions:
    """Of each input to the score of the row's class: log-odds for two classes, the class's own score for more, the
    value itself for a regression. With the base they add up to the score.

    Args:
        inputs: (rows, names), nan where unknown.
        labels: the index of each row's class (rows,); None for a regression.
    """
    threads = 1 if len(inputs) <= FEW_ROWS else 0  # 0: as many as there are cores
    found = np.zeros((len(inputs), len(names) + 1))
    if booster.num_model_per_iteration() == 1:
        found[:] = _explained(booster, inputs, threads)
        if labels is not None:
            found[labels == 0] *= -1  # with two classes, the model's score is the second's
    else:
        for label in np.unique(labels) if labels is not None else ():
            rows = labels == label
            found[rows] = _explained(_alone(booster, int(label)), inputs[rows], threads)
    return Contributions(list(names), inputs, found)


def _explained(booster: lgb.Booster, inputs: Array, threads: int) -> Array:
    return np.asarray(booster.predict(inputs, pred_contrib=True, num_threads=threads))


def _alone(booster: lgb.Booster, label: int) -> lgb.Booster:
    """The trees of one class as a model, created once."""
    known = _of_class.setdefault(booster, {})
    if label not in known:
        text, every = booster.model_to_string(), booster.num_model_per_iteration()
        first = TREE.search(text)
        if first is None:
            raise ValueError("LightGBM's text of the model has no trees")
        head, (trees, tail) = text[: first.start()], text[first.start() :].split(END, 1)
        starts = [found.start() for found in TREE.finditer(trees)]
        each = [trees[start:end] for start, end in zip(starts, [*starts[1:], len(trees)], strict=True)]
        for name, value in ALONE.items():
            head = re.sub(rf"^{name}=.*$", f"{name}={value}", head, flags=re.MULTILINE)
        head = re.sub(r"^tree_sizes=.*\n", "", head, flags=re.MULTILINE)
        mine = (TREE.sub(f"Tree={number}", tree) for number, tree in enumerate(each[label::every]))
        known[label] = lgb.Booster(model_str=f"{head}{''.join(mine)}{END}{tail}")
    return known[label]
