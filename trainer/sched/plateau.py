"""A rate that falls when progress stops."""

from trainer.registry import SCHEDS
from trainer.sched.schedule import Plateau
from trainer.schema import Count, Fraction, Share


@SCHEDS.register
def plateau(total_steps: int, *, patience: Count = 2, factor: Share = 0.1, end: Fraction = 0.0) -> Plateau:
    """The base rate until validation stops improving, then less: the one schedule that looks at the results.

    After patience epochs in a row in which the scores did not become better (the run's monitor, and where that is the
    same the other score) the rate is factor times what it was, at least end; counting then begins anew. As torch's
    ReduceLROnPlateau with threshold 0 and a patience of one less, for it waits for one epoch more than its own says.
    """
    return Plateau(patience, factor, end)
