"""What the doctor, and where it cannot know `check`, says of each run; and how often that is right."""

import io
import json
from collections.abc import Callable, Iterable, Sequence
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass, replace
from pathlib import Path

from benchmarks.doctor.cases import Case
from benchmarks.doctor.runs import draw_pictures, words_of
from benchmarks.tables import table
from trainer.cli.main import main as command_line
from trainer.doctor.diagnose import TOLD, diagnose
from trainer.doctor.finding import Finding
from trainer.doctor.of_run import history_of
from trainer.records.folder import RunFolder

HEADS = ("fault", "runs", "named first", "among the three told", "then by `check`")


@dataclass(frozen=True)
class Verdict:
    """What was said of one run."""

    case: Case
    findings: tuple[Finding, ...]
    """In the order in which they are told."""
    score: float | None = None
    """Of validation at the end: whether the fault did harm."""
    checked: tuple[str, ...] | None = None
    """The rules by which `check` finds fault with it, or warns; None where it was not asked."""

    @property
    def told(self) -> tuple[str, ...]:
        """The rules of what is printed."""
        return tuple(finding.rule for finding in self.findings[:TOLD])

    @property
    def accused_of(self) -> tuple[str, ...]:
        """The rules of all that is said, but for mere notes."""
        return tuple(finding.rule for finding in self.findings if finding.severity != "note")

    @property
    def is_first(self) -> bool:
        return self.case.fault is not None and self.told[0] in self.case.fault.rules

    @property
    def is_told(self) -> bool:
        return self.case.fault is not None and bool({*self.told} & {*self.case.fault.rules})

    @property
    def is_checked(self) -> bool:
        return self.case.fault is not None and bool({*(self.checked or ())} & {*self.case.fault.before})


def verdict_on(case: Case, runs: Path, *, checks_sound: bool = False) -> Verdict:
    """What is said of a run that is there; and by `check`, where the records of a run do not show what it can find.

    checks_sound: whether `check` is asked about a sound run, too.
    """
    history = history_of(RunFolder(runs / case.name))
    verdict = Verdict(case, tuple(diagnose(history)), history.epochs[-1].val_score if history.epochs else None)
    is_asked = checks_sound if case.fault is None else case.fault.before and not verdict.is_first
    return replace(verdict, checked=_checked(case, runs)) if is_asked else verdict


def in_table(verdicts: Sequence[Verdict]) -> str:
    """How often each fault is named, in Markdown; then how often a sound run is accused."""
    planted = [verdict for verdict in verdicts if verdict.case.fault]
    by_fault: dict[str, list[Verdict]] = {}
    for verdict in planted:
        by_fault.setdefault(verdict.case.fault.name, []).append(verdict)
    rows = [_row(name, each) for name, each in by_fault.items()]
    sound = [verdict for verdict in verdicts if verdict.case.fault is None]
    named = _share(sum(verdict.is_told or verdict.is_checked for verdict in planted), len(planted))
    accused = _share(sum(bool(verdict.accused_of) for verdict in sound), len(sound))
    summary = f"Named by one verb or the other: {named}. Sound runs that are accused of something: {accused}"
    asked = [verdict for verdict in sound if verdict.checked is not None]
    summary += f", and by `check`: {_share(sum(bool(each.checked) for each in asked), len(asked))}." if asked else "."
    return f"{table(HEADS, [*rows, _row('**all**', planted)])}\n\n{summary}"


def in_lines(verdicts: Iterable[Verdict]) -> list[str]:
    """A line for each run of which the wrong thing is said: a fault that is not named first, an accused sound run."""
    lines = []
    for verdict in verdicts:
        case = verdict.case
        run = f"{case.fault.name if case.fault else case.kind}: {case.ground.name}, seed {case.seed}"
        if case.fault and not verdict.is_first and not verdict.is_checked:
            how = "not named first" if verdict.is_told else "not named"
            end = "" if verdict.score is None else f"; validation ends at {verdict.score:.1%}"
            lines.append(f"- {run}, is {how}, but {_some(verdict.told)}{end}")
        elif case.fault is None and verdict.accused_of:
            lines.append(f"- sound, {run}, is accused of {_some(verdict.accused_of)}")
        if case.fault is None and verdict.checked:
            lines.append(f"- sound, {run}, is accused by `check` of {_some(verdict.checked)}")
    return lines


def _checked(case: Case, runs: Path) -> tuple[str, ...]:
    draw_pictures(case.pictures, runs)
    printed = io.StringIO()
    with redirect_stdout(printed), redirect_stderr(io.StringIO()):
        command_line(["check", "format=json", *words_of(case, runs)])
    findings = json.loads(printed.getvalue())["findings"]
    return tuple(finding["rule"] for finding in findings if finding["severity"] != "note")


def _row(name: str, verdicts: Sequence[Verdict]) -> list[str]:
    def share(holds: Callable[[Verdict], bool]) -> str:
        return _share(sum(map(holds, verdicts)), len(verdicts))

    asked = [verdict for verdict in verdicts if verdict.checked is not None]
    by_check = _share(sum(verdict.is_checked for verdict in asked), len(asked)) if asked else ""
    return [name, str(len(verdicts)), share(lambda each: each.is_first), share(lambda each: each.is_told), by_check]


def _share(count: int, of: int) -> str:
    return f"{count} of {of}" if of < 20 else f"{count} of {of}, {count / of:.0%}"


def _some(rules: Sequence[str]) -> str:
    return ", ".join(f"`{rule}`" for rule in rules)
