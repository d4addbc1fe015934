"""doctor: what is wrong with a run, told from its records; or that it is healthy."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from trainer.doctor.diagnose import diagnose
from trainer.doctor.finding import Finding
from trainer.doctor.foreign import history_in
from trainer.doctor.of_run import history_of
from trainer.doctor.telling import lines_of
from trainer.errors import visible
from trainer.inference.place import existing_run
from trainer.schema import Count


def run(
    places: Sequence[str],
    words: Sequence[str],
    *,
    format: Literal["text", "json"] = "text",
    classes: Count | None = None,
) -> int:
    """Tells what is found in the runs at the places, finished or broken off, or in CSV files of other tools. Returns 0.

    format: json is one list, for programs. classes: how many a CSV file is about, which it does not tell.
    """
    found = {place: _found(Path(place).expanduser(), classes) for place in places}
    if format == "json":
        told = [{"run": place, "findings": [each.plain() for each in findings]} for place, findings in found.items()]
        print(json.dumps(told, indent=2, ensure_ascii=False))
        return 0
    for place, findings in found.items():
        for line in (*([place] if len(found) > 1 else ()), *lines_of(findings)):
            print(visible(line))
    return 0


def _found(path: Path, classes: int | None) -> list[Finding]:
    return diagnose(history_in(path, classes) if path.is_file() else history_of(existing_run(path)))
