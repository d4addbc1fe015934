"""One target in a process of its own, which may end in the middle of an input."""

import faulthandler
import json
import random
import resource
import shutil
import sys
import time
import traceback
import warnings
from pathlib import Path

from fuzz.mutate import mutated
from fuzz.targets import TARGETS
from trainer.errors import TrainerError

HANG_SECONDS = 5.0
MOST_MIB = 1536
"""What one input may add to the memory that the process ever took: the largest image that is read takes a gigabyte."""


def input_of(target: str, seed: int, number: int, seeds: list[bytes]) -> bytes:
    """Input number 0 and up to the number of good files are these themselves; all others are mutated."""
    return seeds[number] if number < len(seeds) else mutated(seeds, random.Random(f"{target} {seed} {number}"))


def finding(target: str, data: bytes, box: Path) -> str | None:
    """What is wrong with the way an input ended; None if it was read or refused."""
    before, outside = _peak_mib(), _listing(box.parent)
    try:
        TARGETS[target].attempt(data, box)
    except TrainerError as error:
        if not str(error).strip():
            return "refused without a word"
    except Exception:
        return "\n".join(traceback.format_exc().splitlines()[-9:])
    if _listing(box.parent) != outside:
        return f"files outside its folder: {sorted(_listing(box.parent) ^ outside)}"
    more = _peak_mib() - before
    return f"took {more:.0f} MiB" if more > MOST_MIB else None


def run(target: str, seed: int, first: int, seconds: float, most: int, folder: Path) -> None:
    """Tries inputs from number first on until the time is over; prints each finding, and at last the next number."""
    warnings.simplefilter("ignore")
    seeds, box, number = TARGETS[target].seeds(), folder / "box", first
    _emptied(box)
    end = time.monotonic() + seconds
    while time.monotonic() < end and number < most:
        data = input_of(target, seed, number, seeds)
        (folder / "current").write_text(str(number))
        faulthandler.dump_traceback_later(HANG_SECONDS, exit=True)  # by a thread of its own, whatever hangs
        said = finding(target, data, box)
        faulthandler.cancel_dump_traceback_later()
        if said is not None:
            print(json.dumps({"number": number, "what": said}), flush=True)
            _emptied(box)
        if number % 200 == 199:
            _emptied(box)
        number += 1
    print(json.dumps({"next": number}), flush=True)


def _emptied(box: Path) -> None:
    shutil.rmtree(box, ignore_errors=True)
    box.mkdir()


def _listing(folder: Path) -> set[str]:
    """What lies in a folder beside the box."""
    return {path.name for path in folder.iterdir()}


def _peak_mib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    _target, _seed, _first, _seconds, _most, _folder = sys.argv[1:]
    run(_target, int(_seed), int(_first), float(_seconds), int(_most), Path(_folder))
