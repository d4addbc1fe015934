"""A rate that drops in steps."""

from bisect import bisect_right
from math import ceil

from trainer.registry import SCHEDS
from trainer.sched.schedule import Schedule
from trainer.schema import Share
from trainer.system.exact import exact


@SCHEDS.register
def step(
    total_steps: int,
    *,
    at: list[Share] = [0.5, 0.75],  # noqa: B006 - read only; the signature is the schema
    factor: Share = 0.1,
) -> Schedule:
    """The base rate, cut at set moments of the run: the plain old way, and easy to read in the curves.

    at: shares of the run, in any order; from step ceil(share * T) on the rate is factor times what it was (He et al.
    2016, section 3.4, divide by 10 twice).
    """
    moments = sorted(ceil(exact(share) * total_steps) for share in at)
    return lambda step: factor ** bisect_right(moments, step)
