"""The pages of the project as tests read them: their blocks of code, the commands in these, and how outputs compare."""

import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent
PAGES = [
    *(ROOT / name for name in ("README.md", "README.zh-CN.md", "CONTRIBUTING.md")),
    *sorted((ROOT / "docs").glob("*.md")),
]
_BLOCK = re.compile(r"^(?:<!-- (?P<mark>[^\n]*) -->\n+)?```(?P<language>\w*)\n(?P<text>.*?)^```$", re.M | re.S)
_NUMBER = re.compile(r"\d[\d,]*\.\d+(?:e[+-]\d+)?")

VARYING = (
    (re.escape(str(Path.home())), "~"),
    (r"\d{4}-\d{2}-\d{2}(/\d{2}-\d{2}-\d{2})?", "DATE"),
    (r"[\d,.]+ (s|ms|min)\b", "TIME"),
    (r"[\d,.]+ images/s", "RATE"),
    (r"[\d,.]+ [KMG]i?B\b", "BYTES"),
    (r"\b\d+ threads?\b", "THREADS"),
)
"""What differs between two runs or machines, and what stands for it where outputs are compared."""
TOLERANCE = 0.1
"""Share by which a figure with a decimal point may differ: another processor rounds otherwise, which adds up."""


@dataclass(frozen=True)
class Block:
    """A fenced block of a page."""

    page: Path
    line: int
    """Where it begins."""
    language: str
    text: str
    mark: str
    """What the comment before it says: 'not run: REASON', 'file: NAME', 'pictures', or nothing."""

    @property
    def place(self) -> str:
        return f"{self.page.relative_to(ROOT)}, line {self.line}"

    @property
    def not_run(self) -> str | None:
        """Why it is not run, where it is not."""
        return self.mark.removeprefix("not run: ") if self.mark.startswith("not run:") else None

    @property
    def file(self) -> str:
        """The file that it shows: named by the comment before it, or by its own first line."""
        first = re.match(r"# ([\w./-]+\.\w+)\n", self.text)
        return self.mark.removeprefix("file: ") if self.mark.startswith("file: ") else first[1] if first else ""

    @property
    def commands(self) -> list[str]:
        """What is to be typed: in a console block what stands behind $, else every line but comments."""
        lines = self.text.replace("\\\n", " ").splitlines()
        typed = [line.removeprefix("$ ") for line in lines if self.language == "sh" or line.startswith("$ ")]
        return [line for line in typed if shlex.split(line, comments=True)]

    @property
    def session(self) -> list[tuple[str, list[str]]]:
        """Each command of a console block, with the lines that the page shows below it."""
        found: list[tuple[str, list[str]]] = []
        for line in self.text.replace("\\\n", " ").splitlines():
            if line.startswith("$ "):
                found.append((line[2:], []))
            else:
                found[-1][1].append(line)
        return found


def blocks_of(page: Path) -> list[Block]:
    text = page.read_text(encoding="utf-8")
    return [
        Block(page, text.count("\n", 0, found.start()) + 1, found["language"], found["text"], found["mark"] or "")
        for found in _BLOCK.finditer(text)
    ]


def alike(shown: Sequence[str], printed: Sequence[str]) -> bool:
    """Whether a page shows what was printed. A line … stands for any lines, and … in a line for any text."""
    ends = {0}  # how many of the printed lines those that are shown so far may stand for
    for line in shown:
        if line.strip() == "…":
            ends = {more for end in ends for more in range(end, len(printed) + 1)}
        else:
            ends = {end + 1 for end in ends if end < len(printed) and _same(line, printed[end])}
    return len(printed) in ends


def _same(shown: str, printed: str) -> bool:
    for pattern, word in VARYING:
        shown, printed = re.sub(pattern, word, shown), re.sub(pattern, word, printed)
    words = re.escape(_NUMBER.sub("#", shown.rstrip())).replace("…", ".*")
    if not re.fullmatch(words, _NUMBER.sub("#", printed.rstrip())):
        return False
    figures = _NUMBER.findall(shown.partition("…")[0])
    return all(map(_near, figures, _NUMBER.findall(printed)))


def _near(shown: str, printed: str) -> bool:
    one, other = (float(each.replace(",", "")) for each in (shown, printed))
    return abs(one - other) <= TOLERANCE * max(abs(one), abs(other))
