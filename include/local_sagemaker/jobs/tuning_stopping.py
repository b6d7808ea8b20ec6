"""Which training jobs of a tuning job are stopped early: the median rule, as SageMaker documents it.

https://docs.aws.amazon.com/sagemaker/latest/dg/automatic-model-tuning-early-stopping.html
"""

from collections.abc import Sequence
from statistics import fmean, median


def is_hopeless(values: Sequence[float], before: Sequence[Sequence[float]], *, maximize: bool) -> bool:
    """Whether the last value is worse than the median, over the jobs that have completed, of the mean of their values
    up to the same epoch.

    Args:
        values: the objective that the job has printed, by epoch.
        before: the same of each job that has completed.
    """
    means = [fmean(one[: len(values)]) for one in before if one and values]
    if not means:
        return False
    return values[-1] < median(means) if maximize else values[-1] > median(means)
