"""Draws the rooms and the imports between them into docs/design.md, as a mermaid picture: python -m docs.house

Arrows point from a room to what it imports. Those that follow from others are left out; so are those to the ground
floor (errors, schema, size, settings, agreement, contradictions, registry, rng, config, system), for everybody.
"""

import ast
from collections.abc import Iterable
from pathlib import Path

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "trainer"
PAGE = ROOT / "docs" / "design.md"
BEGIN, END = "<!-- rooms: made by python -m docs.house -->\n", "<!-- end of rooms -->"
GROUND = {
    "errors", "schema", "size", "stored", "settings", "agreement", "contradictions",
    "registry", "rng", "config", "system",
}  # fmt: skip
FLOORS = (
    ("cli",),
    ("sweep",),
    ("commands",),
    ("run", "check"),
    ("inference", "preset", "track"),
    ("build",),
    ("report",),
    ("doctor",),
    ("records",),
    ("feed", "engine", "kernels"),
    ("data", "aug", "model", "init", "loss", "optim", "sched", "finetune"),
    ("task", "parallel"),
)


def room_of(path: Path) -> str:
    """The room, or the loose module, that a file of the package belongs to."""
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imported_rooms(source: str) -> set[str]:
    """The rooms of this package that the source imports, anywhere in it."""
    rooms = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom) and node.module == "trainer":
            rooms |= {alias.name for alias in node.names if not alias.name.startswith("__")}
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("trainer."):
            rooms.add((node.module or "").split(".")[1])
        elif isinstance(node, ast.Import):
            rooms |= {alias.name.split(".")[1] for alias in node.names if alias.name.startswith("trainer.")}
    return rooms


def arrows() -> dict[str, set[str]]:
    """Room -> the rooms that it imports, the ground floor and itself left out."""
    found: dict[str, set[str]] = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        room = room_of(path)
        if room in GROUND or room.startswith("__"):
            continue
        found.setdefault(room, set()).update(imported_rooms(path.read_text(encoding="utf-8")) - GROUND - {room})
    return found


def without_implied(arrows: dict[str, set[str]]) -> list[tuple[str, str]]:
    """The arrows that no way over other rooms replaces."""

    def reached(starts: Iterable[str]) -> set[str]:
        return {*starts, *(room for start in starts for room in reached(arrows.get(start, ())))}

    return sorted(
        (room, other)
        for room, others in arrows.items()
        for other in others
        if other not in {each for way in others - {other} for each in reached(arrows.get(way, ()))}
    )


def lines_in(room: str) -> int:
    return sum(len(path.read_text(encoding="utf-8").splitlines()) for path in (PACKAGE / room).rglob("*.py"))


def picture() -> str:
    """The mermaid picture: a row a floor, the highest on top."""
    rooms = {path.name for path in PACKAGE.iterdir() if (path / "__init__.py").exists()}
    rows = ["```mermaid", "flowchart TD"]
    for number, floor in enumerate(FLOORS):
        rows.append(f"  subgraph floor{number}[ ]")
        rows += [f'    {room}["{room}/"]' for room in floor if room in rooms]
        rows.append("  end")
    rows += [f"  {room} --> {other}" for room, other in without_implied(arrows())]
    return "\n".join([*rows, "```", ""])


def drawn(page: str) -> str:
    """The page with the picture as it is now."""
    before, _, rest = page.partition(BEGIN)
    return before + BEGIN + picture() + END + rest.partition(END)[2]


if __name__ == "__main__":
    PAGE.write_text(drawn(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
