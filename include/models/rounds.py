"""The progress that a training reports, so that a tuning job can stop a hopeless one.

Whoever runs the training says with ``telling`` what is done with the answers to the validation split; an estimator of
LightGBM hands ``feval()`` to ``lgb.train``, beside one validation set.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from itertools import count

import lightgbm as lgb
import numpy as np

from include.models.interface import Array

Tell = Callable[[Array], None]  # of values or of the second class's probabilities (rows,), or of all (rows, classes)
EVERY = 10  # rounds

_tell: ContextVar[Tell | None] = ContextVar("tell", default=None)


@contextmanager
def telling(tell: Tell | None) -> Iterator[None]:
    """Within, trainings tell how they go; None: they do not."""
    token = _tell.set(tell)
    try:
        yield
    finally:
        _tell.reset(token)


def feval() -> Callable[[Array, lgb.Dataset], list[tuple[str, float, bool]]] | None:
    """LightGBM's ``feval``, which measures nothing that early stopping looks at; None if nobody listens."""
    tell, rounds = _tell.get(), count(1)
    if tell is None:
        return None

    def look(answers: Array, _: lgb.Dataset) -> list[tuple[str, float, bool]]:
        if next(rounds) % EVERY == 0:
            tell(np.asarray(answers))
        return []

    return look
