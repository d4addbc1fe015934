"""Whether the trackers that a run asks for are there, without an import of any."""

from collections.abc import Sequence
from importlib.util import find_spec

from trainer.errors import ConfigError
from trainer.schema import TrackerName


def refuse_missing(names: Sequence[TrackerName]) -> None:
    """Raises ConfigError if a tracker is not installed. That is a wrong word, to be told before a run of hours begins;
    what fails later is not the run's fault."""
    missing = [name for name in names if not _is_there(name)]
    if missing:
        raise ConfigError(
            f"track: {' and '.join(missing)} {'is' if len(missing) == 1 else 'are'} not installed: "
            f"pip install 'trainer[{','.join(missing)}]'"
        )


def _is_there(name: TrackerName) -> bool:
    """A folder without code is none: the trackers leave some of their own names behind."""
    found = find_spec(name)
    return found is not None and found.origin is not None
