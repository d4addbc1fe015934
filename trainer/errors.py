"""Errors that a user can mend. Each has one clear line and the exit code of its kind."""

import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from difflib import get_close_matches

_FEW = 10
"""Names that one line may list."""
_STEERING = ("Cc", "Cf", "Cs", "Zl", "Zp")
_JOINERS = "\u200c\u200d"
"""Format characters that scripts and emoji are written with."""


class TrainerError(Exception):
    """Training failed. The message says where, what, the nearest valid choice and what to do next."""

    exit_code = 1
    is_told = False
    """Whether another process of the same run has told it, or is to: then this one ends without a word."""


class ConfigError(TrainerError):
    """The config or the command line is wrong. All errors of one config travel together, one a line."""

    exit_code = 2


class DataError(TrainerError):
    """The data cannot be read, or cannot be trained on."""

    exit_code = 3


class CheckpointError(TrainerError):
    """A checkpoint, or weights from a file, cannot be used."""

    exit_code = 4


class OutputError(TrainerError):
    """The run folder cannot be written, or belongs to another run."""

    exit_code = 5


class DivergedError(TrainerError):
    """The loss is no longer a number, or far above where it began.

    advice: what to try. step: the one whose images are in question, where there is one.
    """

    exit_code = 6

    def __init__(self, what: str, advice: str = "", step: int | None = None) -> None:
        super().__init__(f"{what} {advice}".rstrip())
        self.what = what
        self.advice = advice
        self.step = step


class StoppedError(TrainerError):
    """A signal asked the run to stop, and it stopped after a good save."""

    def __init__(self, message: str, signal_number: int) -> None:
        super().__init__(message)
        self.exit_code = 128 + signal_number


class PrunedError(TrainerError):
    """A search has ended the run early, since others do better. It ended well: all is saved."""

    exit_code = 0


@contextmanager
def told(losses: Sequence[str], *kinds: type[TrainerError]) -> Iterator[None]:
    """Adds to an error of these kinds what of the data was left out before: it may well be the reason."""
    try:
        yield
    except kinds as error:
        lines = [str(error), *losses]
        error.args = (("\n" if any("\n" in line for line in lines) else " ").join(lines),)
        raise


def first_line(error: Exception) -> str:
    """The first line of what another library says."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def visible(text: str, keep: str = "") -> str:
    """The text with what would steer a terminal, or turn the reading direction, as \\x1b or \\u202e; but for `keep`."""

    def shown(character: str) -> str:
        steers = unicodedata.category(character) in _STEERING and character not in _JOINERS + keep
        return character.encode("unicode_escape").decode() if steers else character

    return text if text.isascii() and text.isprintable() else "".join(map(shown, text))


def did_you_mean(word: str, choices: Iterable[str]) -> str:
    """A sentence with the choice nearest to word, or nothing when none is near. It opens with a space."""
    by_lower = {choice.lower(): choice for choice in choices}
    near = get_close_matches(word.lower(), by_lower, n=1, cutoff=0.6)
    return f" Did you mean '{by_lower[near[0]]}'?" if near else ""


def both_lists(before: Sequence[str], now: Sequence[str]) -> str:
    """Two lists of names in words: whole where they are short, or else how they differ."""
    if max(len(before), len(now)) <= _FEW:
        return f"{', '.join(before)} before; {', '.join(now)} now"
    gone, new = [name for name in before if name not in now], [name for name in now if name not in before]
    if not gone and not new:
        return f"the same {len(now)} in another order"
    lists = [f"{word}: {some(names)}" for word, names in (("gone", gone), ("new", new)) if names]
    return f"{len(before)} before; {len(now)} now; {'; '.join(lists)}"


def some(names: Sequence[str]) -> str:
    """The first ten names, and how many more there are."""
    more = f" and {len(names) - _FEW} more" if len(names) > _FEW else ""
    return ", ".join(names[:_FEW]) + more
