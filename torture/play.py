"""One case from its unbroken run to the comparison."""

import shutil
import time
from dataclasses import dataclass
from pathlib import Path

from torture.cases import Case
from torture.compare import differences
from torture.runs import Course, Trigger, follow, start, trigger_of
from trainer.errors import DivergedError

_SHOWN = 12


@dataclass(frozen=True)
class Outcome:
    """What a case came to. kills: the phase that each kill hit."""

    case: Case
    kills: tuple[str, ...]
    differences: tuple[str, ...]
    seconds: float


def play(case: Case, folder: Path, import_seconds: float) -> Outcome:
    """Plays the case in a folder of its own, which stays if there is a difference."""
    begun = time.perf_counter()
    folder.mkdir(parents=True)
    unbroken = _run(folder, "unbroken", (*case.words, "workers=0", "data.cache=ram"), None, as_command=False)
    kills: list[str] = []
    if unbroken.code not in (0, DivergedError.exit_code):
        found = [f"the unbroken run ended with {unbroken.code}: {_last_line(folder, 'unbroken')}"]
    else:
        kills, code = _kill_and_resume(case, folder, unbroken, import_seconds)
        if code != unbroken.code:
            found = [f"the resumed run ended with {code}, not {unbroken.code}: {_last_line(folder, 'killed')}"]
        else:
            found = differences(folder / "unbroken", folder / "killed")
    if not found:
        shutil.rmtree(folder)
    more = [f"… and {len(found) - _SHOWN} more"] if len(found) > _SHOWN else []
    return Outcome(case, tuple(kills), (*found[:_SHOWN], *more), time.perf_counter() - begun)


def _kill_and_resume(case: Case, folder: Path, unbroken: Course, import_seconds: float) -> tuple[list[str], int]:
    """The phases that the kills hit, and the exit code of the start that ended by itself."""
    kills: list[str] = []
    for attempt in case.attempts:
        trigger = trigger_of(attempt.kill, unbroken, import_seconds if attempt.as_command else 0.0)
        words = (*case.words, *attempt.words)
        course = _run(folder, "killed", words, trigger, as_command=attempt.as_command)
        seconds = unbroken.seconds
        while course.killed_in is None and course.code == unbroken.code and not kills:
            shutil.rmtree(folder / "killed")  # it was faster than the kill, which must come once at least
            seconds /= 2
            course = _run(folder, "killed", words, Trigger(seconds), as_command=False)
        if course.killed_in is None:
            return kills, course.code
        kills.append(course.killed_in)
    last = _run(folder, "killed", (*case.words, *case.last_words), None, as_command=False)
    return kills, last.code


def _run(folder: Path, name: str, words: tuple[str, ...], trigger: Trigger | None, *, as_command: bool) -> Course:
    environment = {"XDG_CACHE_HOME": str(folder / f"cache-{name}")}
    told = [*words, f"output={folder}", f"name={name}", "resume=auto"]
    return follow(*start(told, folder / f"{name}.txt", environment, as_command=as_command), trigger)


def _last_line(folder: Path, name: str) -> str:
    lines = (folder / f"{name}.txt").read_text(errors="replace").splitlines()
    return lines[-1] if lines else "it said nothing"
