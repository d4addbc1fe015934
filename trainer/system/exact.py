"""Numbers as they were written, so that what is counted by them is exact."""

from fractions import Fraction


def exact(number: float) -> Fraction:
    """The number as its decimals say it: exact(0.28) * 25 is 7, where 0.28 * 25 is 7.000000000000001.

    Every share that becomes a count of steps, images or pixels goes through here. Who counts says what becomes of a
    part: floor, ceil, or round, which takes a half to the even number.
    """
    return Fraction(repr(number))
