"""A table as text: the lines of a CSV file or one like it, whatever stands between the cells."""

import csv
import io
import re
import stat
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from trainer.errors import DataError
from trainer.system.durable import LFS_POINTER, is_lfs_pointer

_MOST_BYTES = 2**28
_DELIMITERS = {"\t": "tab", ",": "comma", ";": "semicolon", "|": "bar"}
_BLANK = " "
_SNIFFED = 50
"""Lines that tell what stands between the cells."""
_BOMS = {
    b"\xff\xfe\x00\x00": "utf-32", b"\x00\x00\xfe\xff": "utf-32", b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16",
}  # fmt: skip


class Line(NamedTuple):
    """The cells of one row, and the number of the line that it ends in."""

    number: int
    cells: list[str]


class Sheet(NamedTuple):
    """The rows of a table, the header too if it has one, and the word for what stands between its cells."""

    lines: list[Line]
    delimiter: str


def read_sheet(source: Path) -> Sheet:
    """All lines that are not blank. Tab, comma, semicolon and bar are told apart by the lines; blanks where all agree.

    UTF-8, or UTF-16 and 32 with their mark. Raises DataError if it is no such table, or has more than 256 MiB.
    """
    try:
        about = source.stat()
        if not stat.S_ISREG(about.st_mode):  # a FIFO would be waited for without end
            raise DataError(f"data.file: {source} is not a file.")
        if about.st_size > _MOST_BYTES:
            raise DataError(f"data.file: {source} has more than {_MOST_BYTES >> 20} MiB. Is it a table of paths?")
        if is_lfs_pointer(source):
            raise DataError(f"data.file: {source} is {LFS_POINTER}.")
        text, before = _without_hint(_decoded(source, source.read_bytes()))
        delimiter = before or _delimiter(text)
        offset = 1 if before else 0
        lines = [Line(number + offset, cells) for number, cells in _records(text, delimiter)]
    except (OSError, UnicodeError, csv.Error) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise DataError(f"data.file: {source} cannot be read as a table ({reason}).") from error
    return Sheet(lines, _DELIMITERS.get(delimiter, "blank"))


def _decoded(source: Path, content: bytes) -> str:
    if content.startswith(b"PK\x03\x04"):
        raise DataError(
            f"data.file: {source} cannot be read as a table (it is a spreadsheet or a zip). Save it as CSV."
        )
    encoding = next((name for bom, name in _BOMS.items() if content.startswith(bom)), None)
    try:
        return content.decode(encoding or "utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(
            f"data.file: {source} cannot be read as a table ({error.reason} at byte {error.start}, {error.encoding}). "
            f"Save it as UTF-8, for example with: iconv -f cp1252 -t utf-8 {source.name}"
        ) from error


def _without_hint(text: str) -> tuple[str, str | None]:
    """The text without the line sep=; that spreadsheets put first, and the delimiter that it names."""
    named = re.match(r"sep=([\t,;|])\r?\n", text)
    return (text[named.end() :], named[1]) if named else (text, None)


def _delimiter(text: str) -> str:
    """What divides most lines into as many cells as the first; a blank where that divides all, and nothing else any."""
    shares = {each: _agreement(text, each) for each in _DELIMITERS}
    best = max(shares, key=lambda each: shares[each])
    if shares[best] == 0 and _agreement(text, _BLANK) == 1:
        return _BLANK
    return best if shares[best] else ","


def _agreement(text: str, delimiter: str) -> float:
    """The share of the first lines that have as many cells as the first one; 0 where that has but one."""
    try:
        counts = [len(cells) for _, cells in islice(_records(text, delimiter), _SNIFFED)]
    except csv.Error:
        return 0.0
    return counts.count(counts[0]) / len(counts) if counts and counts[0] > 1 else 0.0


def _records(text: str, delimiter: str) -> Iterator[tuple[int, list[str]]]:
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True, skipinitialspace=True)
    for cells in reader:
        if any(cells):
            yield reader.line_num, cells
