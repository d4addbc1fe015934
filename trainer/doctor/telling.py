"""Findings as lines of text, the same for every verb that has some."""

from collections.abc import Iterable, Iterator

from trainer.doctor.finding import Finding


def lines_of(findings: Iterable[Finding]) -> Iterator[str]:
    """Of each finding what it is, what it was seen by, and what to try."""
    for finding in findings:
        practice = finding.practice.partition(":")[0]  # its name, without what it says
        yield f"{finding.severity}: {finding.what} ({', '.join(filter(None, (finding.rule, practice)))})"
        yield f"  seen by: {finding.evidence}"
        if finding.words:
            yield f"  say: {finding.words}"
        if finding.advice:
            yield f"  {'or' if finding.words else 'do'}: {finding.advice}"
