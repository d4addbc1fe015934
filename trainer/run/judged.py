"""What is said of a run at its end, by its records."""

import shlex
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from trainer.doctor.diagnose import TOLD, diagnose
from trainer.doctor.finding import Finding
from trainer.doctor.of_run import history_of
from trainer.doctor.telling import lines_of
from trainer.errors import first_line
from trainer.records.folder import RunFolder
from trainer.report.console import Screen


def judged(folder: RunFolder, summary: Mapping[str, Any], screen: Screen) -> list[Finding]:
    """What is found in the records of a run that ends as the summary tells.

    The run is done, and no rule can undo it: if one fails, whatever it raises, that is said, and nothing is found.
    """
    try:
        return diagnose(history_of(folder, summary))
    except Exception as error:
        screen.say(f"The run was not judged ({type(error).__name__}: {first_line(error)}). All else is there.")
        return []


def verdict(findings: Sequence[Finding], folder: RunFolder) -> Iterator[str]:
    """The first findings in lines, and where the others are told."""
    yield from lines_of(findings[:TOLD])
    if (more := len(findings) - TOLD) > 0:
        yield f"{more} more: python -m trainer doctor {shlex.quote(str(folder.path))}"
