"""How long AWS takes before user code runs: instances are found, images pulled, disks attached.

Off by default. The set ``aws`` is what public reports and AWS's documentation say is usual: processing 2 to 4 minutes,
training 1 to 3, batch transform 3 to 5, an endpoint 4 to 10, a serverless one 1 to 10.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from include.local_sagemaker.core.store import PROCESSING_JOB, TRAINING_JOB, TRANSFORM_JOB, Kind

AWS = {"processing": 150.0, "training": 120.0, "transform": 210.0, "endpoint": 300.0, "serverless": 180.0}
WARM_SECONDS = 10.0  # of a training job on instances from a warm pool
_JOBS = {PROCESSING_JOB: "processing", TRAINING_JOB: "training", TRANSFORM_JOB: "transform"}


@dataclass(frozen=True)
class StartUp:
    """Seconds from a request until its program starts, by the words of ``AWS``; an absent word means no delay."""

    seconds: Mapping[str, float] = field(default_factory=dict)
    factor: float = 1.0  # scales every figure, to run a day in AWS's proportions in less time

    @classmethod
    def parse(cls, text: str, factor: float = 1.0) -> StartUp:
        """``aws``, ``processing=150,training=120`` or both, where later entries override earlier ones.

        Raises:
            ValueError: an unknown word, or a figure that is not a number of seconds from 0 to 3600.
        """
        seconds: dict[str, float] = {}
        for part in text.split(","):
            word, separator, figure = part.strip().partition("=")
            if part.strip() == "aws":
                seconds |= AWS
            elif word not in AWS or not separator:
                raise ValueError(f"'{part}' is not one of aws, {', '.join(f'{known}=SECONDS' for known in AWS)}")
            else:
                seconds[word] = _seconds(part, figure)
        return cls(seconds, factor)

    def of_job(self, kind: Kind) -> float:
        return self.of(_JOBS.get(kind, ""))

    def of(self, word: str) -> float:
        return self.seconds.get(word, 0.0) * self.factor

    @property
    def of_warm_training(self) -> float:
        return min(WARM_SECONDS * self.factor, self.of("training"))


def _seconds(part: str, figure: str) -> float:
    try:
        seconds = float(figure)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds <= 3600:
        raise ValueError(f"'{part}': {figure!r} is not a number of seconds from 0 to 3600")
    return seconds
