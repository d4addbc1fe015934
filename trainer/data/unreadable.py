"""The files that cannot be read, in words."""

from collections.abc import Sequence

_FAILURES_SHOWN = 10


def unreadable_in_words(failures: Sequence[str], total: int) -> str:
    """How many of the images cannot be read, and the first ten with their reasons, one a line."""
    more = len(failures) - _FAILURES_SHOWN
    lines = [*failures[:_FAILURES_SHOWN], *([f"... and {more} more"] if more > 0 else [])]
    return "\n  ".join([f"{len(failures)} of {total} images cannot be read:", *lines])
