"""A cell that lists labels: cat|dog, with ?bird for one that is not known. So people write tables, and evaluations."""

import re

UNKNOWN = "?"
"""Before a name: whether the picture has this label is not known."""


def parts_in(cell: str, separator: str | None) -> list[str]:
    r"""The parts of a cell as they are written, none of them empty. A separator behind a \ parts nothing."""
    if separator is None:
        return [cell] if cell else []
    sign = re.escape(separator)
    return re.findall(rf"(?:\\(?:{sign}|[\\?])|(?!{sign}).)+", cell, re.DOTALL)


def read(part: str, separator: str | None) -> tuple[str, bool]:
    r"""The name in a part, and whether it is known; a \ before the separator, a ? or another \ is none of the name."""
    known = not part.startswith(UNKNOWN) or part == UNKNOWN
    signs = "|".join(map(re.escape, filter(None, (separator, UNKNOWN, "\\"))))
    return re.sub(rf"\\({signs})", r"\1", part if known else part[1:]), known
