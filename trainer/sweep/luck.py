"""Whether the runs of a sweep differ by more than the luck of the images on which they were validated."""

import math
from collections.abc import Sequence
from statistics import fmean, stdev


def luck_in_words(score: str, accuracies: Sequence[float], images: int) -> str:
    """A sentence where accuracies vary less than chance alone makes any one of them vary; else nothing.

    images: on how many each was validated. An accuracy p has the standard error sqrt(p (1 - p) / images), as the share
    of a binomial distribution.
    """
    if len(accuracies) < 2 or not images:
        return ""
    mean = fmean(accuracies)
    of_runs, of_images = stdev(accuracies), math.sqrt(mean * (1 - mean) / images)
    if of_runs >= of_images:
        return ""
    return (
        f"Which run is best may be luck: {score} varies by {100 * of_runs:.1f} points between the runs, and by "
        f"{100 * of_images:.1f} with the luck of {images:,} validation images alone (standard deviations)."
    )
