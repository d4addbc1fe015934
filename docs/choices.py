"""Writes docs/choices.md, every part and every option, from registry, YAML and tests: python -m docs.choices

What an option takes and its default come from the signature of its part, what it does from its comment in
conf/ROOM/PART.yaml, where it was published from the part's docstring. Tests are those that docs/practices.md names
beside ROOM=PART, and where it names none, those of the part's room whose code names the part.
"""

import ast
import re
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import get_type_hints

from trainer.config import ROOMS, conf_folder
from trainer.registry import Entry, entries
from trainer.schema import describe
from trainer.settings import Settings

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "choices.md"
DECIDES = {
    "task": "what a label is",
    "data": "where the pictures come from",
    "aug": "what happens to a batch in training",
    "model": "the network",
    "init": "how its weights start",
    "loss": "what is minimised",
    "optim": "how",
    "sched": "the learning rate over the run",
    "finetune": "what learns when, from given weights",
}
HEAD = """\
# The choices

Every part and every option that there is. `python -m docs.choices` makes this page from the program.

A part is chosen by its room, `model=xresnet18`, and its options follow, `model.dropout=0.2`. What stands under *takes*
is checked before a run begins. `tests/test_registry.py` holds every part to what is said of its options here; the tests
that are named under a part hold what is its own.

| room | what it decides | parts |
|---|---|---|
"""
_LINE = re.compile(r"^(\w+): +(.*?)(?: +# (.*))?$")
_CITED = re.compile(r"\b(19|20)\d\d\b")
"""The year of a publication, from which a part is taken."""
_SHOWN = 4
"""Tests named under a part; others are found beside them."""


def page() -> str:
    """The whole page."""
    rows = [f"| [`{room}`](#{room}) | {DECIDES[room]} | {_links(room)} |" for room in ROOMS]
    rooms = [line for room in ROOMS for line in _room(room)]
    return HEAD + "\n".join([*rows, "", *_settings(), *rooms])


def options_in(path: Path) -> dict[str, tuple[str, str]]:
    """Each key of a YAML file, with its value and its comment as they are written."""
    found: dict[str, tuple[str, str]] = {}
    key = ""
    for line in path.read_text(encoding="utf-8").splitlines():
        if match := _LINE.match(line):
            key = match[1]
            found[key] = match[2], match[3] or ""
        elif key and re.match(r" {8,}# ", line):  # the comment goes on
            value, comment = found[key]
            found[key] = value, f"{comment} {line.strip().removeprefix('# ')}"
    return found


def tests_of(room: str, name: str) -> list[str]:
    """The tests that hold the part, as FILE.py::NAME, those first that are called after it."""
    said = re.compile(rf"(?<![\w.]){room}={name}(?!\w)")
    rows = [row for row in _practices() if said.search(row)]
    named = [f"{file}::{test}" for row in rows for file, test in _tests_in(row)]
    if not named:
        meant = re.compile(rf"""{said.pattern}|["'`]{name}["'`]|(?<![\w.]){name}\(""")
        named = [test for test, source in _functions(room) if meant.search(source)]
    return sorted(dict.fromkeys(named), key=lambda test: name not in test)


def _links(room: str) -> str:
    return ", ".join(f"[{name}](#{_anchor(room, name)})" for name in entries(room))


def _anchor(room: str, name: str) -> str:
    return f"{room}{name}"  # of the heading `room=name`: what is neither letter, digit, - nor _ goes


def _settings() -> Iterator[str]:
    hints, lines = get_type_hints(Settings, include_extras=True), options_in(conf_folder() / "config.yaml")
    yield from ("## Settings", "", "What every run has, whatever its parts: `python -m trainer epochs=20 seed=1`.", "")
    yield from _table([(key, describe(kind), *lines[key]) for key, kind in hints.items() if key in lines])


def _room(room: str) -> Iterator[str]:
    yield from (f"## {room}", "", f"It decides {DECIDES[room]}: `{room}=PART`.", "")
    for name, entry in entries(room).items():
        yield from _part(room, name, entry)


def _part(room: str, name: str, entry: Entry) -> Iterator[str]:
    path = conf_folder() / room / f"{name}.yaml"
    head = re.match(r"(?:# .*\n)+", path.read_text(encoding="utf-8"))
    assert head is not None
    yield from (f"### {room}={name}", "", _plain(" ".join(line[2:] for line in head[0].splitlines())), "")
    lines = options_in(path)
    yield from _table([(key, describe(option.annotation), *lines[key]) for key, option in entry.options.items()])
    source = Path(*entry.module.split(".")).with_suffix(".py")
    for paragraph in _docstring(ROOT / source, name).split("\n\n"):
        if _CITED.search(paragraph):  # the others say again what stands above
            yield from (_plain(" ".join(paragraph.split()).replace("None", "null")), "")
    tests = [f"`{test}`" for test in tests_of(room, name)[:_SHOWN]]
    yield from (f"`{source}`" + (f", held by {', '.join(tests)}." if tests else "."), "")


def _table(rows: Sequence[tuple[str, str, str, str]]) -> Iterator[str]:
    if rows:
        yield from ("| option | takes | default | what it does |", "|---|---|---|---|")
        for key, takes, default, comment in rows:
            shown = "*to be said*" if default == "???" else _cell(f"`{default}`")
            yield f"| `{key}` | {_cell(takes)} | {shown} | {_cell(comment)} |"
        yield ""


def _plain(text: str) -> str:
    """Text in which nothing is taken for markup."""
    return re.sub(r"([*<\[\]])", r"\\\1", text).replace("...", "…")


def _cell(text: str) -> str:
    return text.replace("|", "\\|") if text.startswith("`") else _plain(text).replace("|", "\\|")


def _docstring(path: Path, function: str) -> str:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    (found,) = [node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name == function]
    return ast.get_docstring(found) or ""


@cache
def _practices() -> list[str]:
    return (ROOT / "docs" / "practices.md").read_text(encoding="utf-8").splitlines()


def _tests_in(row: str) -> Iterator[tuple[str, str]]:
    """File and name of each test that a row names: ', ::test_b' is another one of the file before it."""
    file = ""
    for here, test in re.findall(r"(test_\w+\.py)?::(test_\w+)", row):
        file = here or file
        yield file, test


@cache
def _functions(room: str) -> list[tuple[str, str]]:
    """The tests of a room, as FILE.py::NAME, with their source, decorators included."""
    return [
        (f"{path.name}::{node.name}", ast.unparse(node))
        for path in sorted((ROOT / "tests" / room).glob("test_*.py"))
        for node in ast.parse(path.read_text(encoding="utf-8")).body
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")
    ]


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
