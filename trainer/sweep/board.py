"""What the runs of a sweep and its command tell each other: small files in its folder, seen from any process."""

import json
import shutil
from collections.abc import Collection
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import mean


@dataclass(frozen=True)
class Ended:
    """How a run ended, as its process tells it."""

    number: int
    """Of the run, from 0."""
    status: str
    seconds: float
    place: str
    """Its folder, and the words in which it differs from other runs."""
    score: str = ""
    """Name and value of the best monitored score."""
    error: str = ""
    """What was said where it failed."""


class Board:
    """The files of one sweep: .began and .ended of each run by its number, and `stop`, by which all are to stop."""

    def __init__(self, folder: Path) -> None:
        self._place = folder / ".jobs"
        self._stop = self._place / "stop"

    def clear(self) -> None:
        """Nothing is told. What an earlier command left there is gone."""
        self.remove()
        self._place.mkdir(parents=True)

    def remove(self) -> None:
        shutil.rmtree(self._place, ignore_errors=True)

    def begin(self, number: int) -> None:
        self._write(f"{number}.began", "")

    def end(self, ended: Ended) -> None:
        self._write(f"{ended.number}.ended", json.dumps(asdict(ended)))

    def stop(self, signal_number: int) -> None:
        """Asks all runs to stop, and none to begin."""
        self._write(self._stop.name, str(signal_number))

    @property
    def stopped(self) -> int | None:
        """The number of the signal by which the runs are to stop, where they are."""
        return int(self._stop.read_text()) if self._stop.exists() else None

    @property
    def running(self) -> int:
        return len([*self._place.glob("*.began")]) - len([*self._place.glob("*.ended")])

    def ended(self, but: Collection[int] = ()) -> list[Ended]:
        """The runs that have ended, but for those of these numbers."""
        paths = [path for path in self._place.glob("*.ended") if int(path.stem) not in but]
        return [Ended(**json.loads(path.read_text())) for path in sorted(paths, key=lambda path: int(path.stem))]

    def _write(self, name: str, text: str) -> None:
        """In one piece. Where it cannot be written, a line is missing on the screen, and no run is worse for it."""
        with suppress(OSError):
            part = self._place / f"{name}.part"
            part.write_text(text)
            part.replace(self._place / name)


def seconds_left(ended: Collection[Ended], count: int, finished: Collection[int], at_once: int) -> float | None:
    """Seconds until all runs of the sweep have ended, by those that have; None where none tells how long one takes.

    finished: the runs that had nothing left to do from the start. at_once: how many run side by side.
    """
    took = [each.seconds for each in ended if each.number not in finished]
    left = count - len({*finished, *(each.number for each in ended)})
    return mean(took) * left / max(1, min(at_once, left)) if took and left else None
