"""Labels that are measured numbers: what one would have to tell, where only classes can be learnt."""

import re
from collections.abc import Sequence
from pathlib import Path

from trainer.errors import DataError

_NUMBER = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?")
_FEW, _FEW_A_ROW = 10, 0.1
"""Numbers that may be classes nevertheless: so many in all, or so many a row."""


def refuse_numbers(labels: Sequence[str], source: Path) -> None:
    """Raises DataError where each class would be a number, not all of them whole, and hardly any of several rows."""
    different = sorted(set(labels))
    if len(different) <= max(_FEW, _FEW_A_ROW * len(labels)) or not all(map(_NUMBER.fullmatch, different)):
        return
    if broken := [label for label in different if float(label) % 1]:
        raise DataError(
            f"{source}: the labels are {len(different):,} different numbers in {len(labels):,} rows, such as "
            f"{broken[0]}. Only classes can be learnt here, no numbers (regression). Write a column of ranges, such as "
            "low, middle and high, and say data.label=COLUMN"
        )
