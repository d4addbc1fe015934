"""Whether the trackers that a run asks for are there, without an import of any."""

from collections.abc import Sequence
from importlib.util import find_spec

from trainer.errors import ConfigError
from trainer.schema import TrackerName


def refuse_missing(names: Sequence[TrackerName]) -> None:
    """Raises ConfigError if a tracker is not installed. That is a wrong word, to be told before a run of hours begins;
    what fails later is not the run's fault."""
    missing = [name for name in names if find_spec(name) is None]
    if missing:
        raise ConfigError(
            f"track: {' and '.join(missing)} {'is' if len(missing) == 1 else 'are'} not installed: "
            f"pip install 'trainer[{','.join(missing)}]'"
        )
