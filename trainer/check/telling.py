"""What a walk has found, for a person and as JSON."""

import json
from collections.abc import Iterator

from trainer.check.walk import Walk
from trainer.doctor.telling import lines_of

MUST_BE_MENDED = 7
"""The exit code where a finding is a fault."""


def exit_code(walk: Walk) -> int:
    """0, or 7 where the run is not worth its time before something is mended."""
    return MUST_BE_MENDED if _count(walk, "fault") else 0


def in_words(walk: Walk) -> Iterator[str]:
    """Line by line: what the run is, each finding, the verdict."""
    yield from walk.lines
    for what in walk.left_out:
        yield f"not looked at: {what}"
    for finding in walk.findings:
        yield ""
        yield from lines_of([finding])
    yield ""
    if walk.picture is not None:
        yield f"picture: {walk.picture}: what is there twice, side by side"
    yield verdict(walk)


def verdict(walk: Walk) -> str:
    """One line."""
    faults, warnings, notes = (_count(walk, severity) for severity in ("fault", "warning", "note"))
    looks = f"{_things(warnings)} worth a look" if warnings else "nothing else is worth a look"
    if faults:
        return f"verdict: {_things(faults)} to be mended before this run is worth its time; {looks}."
    if warnings:
        return f"verdict: nothing must be mended; {looks}."
    besides = f" ({_things(notes)} to know)" if notes else ""
    return (
        f"verdict: nothing is wrong that can be seen before the run{besides}. Start it: the same words without check."
    )


def as_json(walk: Walk) -> str:
    """All of it."""
    plain = {
        "verdict": verdict(walk).removeprefix("verdict: "),
        "exit_code": exit_code(walk),
        "findings": [finding.plain() for finding in walk.findings],
        "lines": list(walk.lines),
        "picture": None if walk.picture is None else str(walk.picture),
        "left_out": list(walk.left_out),
        "cost": walk.cost.plain(),
    }
    return json.dumps(plain, indent=2, ensure_ascii=False)


def _count(walk: Walk, severity: str) -> int:
    return sum(finding.severity == severity for finding in walk.findings)


def _things(count: int) -> str:
    return f"{count} thing{'s' * (count != 1)} {'is' if count == 1 else 'are'}"
