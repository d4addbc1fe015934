"""What is said of a run, before it (`trainer/check/`) and after it (`trainer/doctor/`): a finding."""

from dataclasses import dataclass
from typing import Literal

Severity = Literal["fault", "warning", "note"]
"""fault: the run is not worth its time before this is mended. warning: it is worth a look. note: no fault, but many
take it for one."""
SEVERITIES: tuple[Severity, ...] = ("fault", "warning", "note")


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong, or that many would take to be wrong."""

    rule: str
    """The name of the rule that found it: rate_too_high."""
    severity: Severity
    what: str
    """One plain sentence: what it is, and what it does to the run."""
    evidence: str
    """The figures that it was seen by."""
    confidence: float
    """How sure it is, 0 to 1: of two findings of one severity the surer one is told first."""
    words: str = ""
    """What to say to the run instead: 'optim.lr=0.0003'; empty where nothing that can be said mends it."""
    advice: str = ""
    """What to do where words alone do not mend it."""
    practice: str = ""
    """Where the rule comes from: a practice by its name, or a source."""

    def plain(self) -> dict[str, object]:
        """As JSON holds it."""
        return {**self.__dict__}


def in_order(findings: list[Finding]) -> list[Finding]:
    """The gravest first, and of these the surest."""
    return sorted(findings, key=lambda each: (SEVERITIES.index(each.severity), -each.confidence))
