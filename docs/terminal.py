"""The picture of a terminal in README: a training and a prediction, as they really went: python -m docs.terminal

Trains on the pictures that docs/getting-started.md draws, more of them, in a folder of its own.
"""

import io
import os
import pty
import re
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path

from rich._export_format import CONSOLE_SVG_FORMAT
from rich.console import Console
from rich.text import Text

DOCS = Path(__file__).parent
PICTURE = DOCS / "terminal.svg"
SESSION = (
    "python -m trainer data=folder data.root=photos epochs=6 name=mine",
    "python -m trainer predict outputs/mine photos/circle/7.png photos/square/7.png",
)
PICTURES = 150
"""Of each class."""
COLUMNS = 136


def main() -> None:
    """Does what SESSION says, and writes PICTURE."""
    (drawing,) = re.findall(
        r"<!-- file: draw.py -->\n```python\n(.*?)```", (DOCS / "getting-started.md").read_text(), re.DOTALL
    )
    with tempfile.TemporaryDirectory() as place:
        more = drawing.replace("range(30)", f"range({PICTURES})")
        subprocess.run([sys.executable, "-c", more], cwd=place, check=True)
        seen = [(command, typed(command, Path(place))) for command in SESSION]
    PICTURE.write_text(drawn(seen), encoding="utf-8")


def typed(command: str, folder: Path) -> list[str]:
    """The lines that the command prints in a terminal of COLUMNS, one without a cursor to move: no bar is left over."""
    ours, its = pty.openpty()
    told = {"TERM": "dumb", "COLUMNS": str(COLUMNS), "PYTHONPATH": str(DOCS.parent)}
    words = [sys.executable, *shlex.split(command)[1:]]
    with subprocess.Popen(words, cwd=folder, stdout=its, stderr=its, env={**os.environ, **told}) as process:
        os.close(its)
        printed = b"".join(iter(lambda: _read(ours), b""))
    os.close(ours)
    assert process.returncode == 0, printed.decode()
    return printed.decode().splitlines()


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 4096)
    except OSError:  # Linux's way of saying that the other end was closed
        return b""


def drawn(seen: list[tuple[str, list[str]]]) -> str:
    """The session as SVG, which asks no network for a font."""
    console = Console(record=True, width=COLUMNS, file=io.StringIO(), force_terminal=True)
    for command, lines in seen:
        console.print(Text(f"$ {command}", style="bold green"), soft_wrap=True)
        for line in lines:
            for begin in range(0, max(len(line), 1), COLUMNS):  # as a terminal breaks lines
                console.print(Text(line[begin : begin + COLUMNS]), soft_wrap=True)
    style = re.sub(r"@font-face \{\{.*?\}\}\n", "", CONSOLE_SVG_FORMAT, flags=re.DOTALL)
    style = style.replace("Fira Code, monospace", "ui-monospace, Menlo, Consolas, monospace")
    return console.export_svg(title="trainer", code_format=style, unique_id="terminal")


if __name__ == "__main__":
    main()
