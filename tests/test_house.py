"""The arrangement of the code: imports go downhill."""

import ast
from pathlib import Path

import pytest

import trainer

PACKAGE = Path(trainer.__file__).parent
RANKS = [
    ("errors", "schema", "registry", "rng", "fault", "durable", "threads", "garbage"),
    ("config",),
    ("data", "aug", "model", "init", "loss", "optim", "sched", "finetune"),
    ("engine", "kernels"),
    ("records",),
    ("doctor", "report", "sweep"),
    ("build",),
    ("run", "inference"),
    ("commands", "multirun", "compose", "help", "cli", "__main__"),
]
RANK_OF = {room: rank for rank, rooms in enumerate(RANKS) for room in rooms}
MODULES = [path for path in sorted(PACKAGE.rglob("*.py")) if path != PACKAGE / "__init__.py"]


def room_of(path: Path) -> str:
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


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_a_module_imports_only_from_its_own_room_and_from_lower_ranks(path: Path) -> None:
    room = room_of(path)
    rank = RANK_OF[room]
    for other in imported_rooms(path.read_text()) - {room}:
        same_rank_is_fine = rank in (0, len(RANKS) - 1)
        assert RANK_OF[other] < rank or (same_rank_is_fine and RANK_OF[other] == rank), f"{room} imports {other}"


def test_the_walk_sees_an_import_wherever_it_stands() -> None:
    source = "import trainer.build\nfrom trainer import rng\ndef f():\n    from trainer.engine.loop import fit\n"
    assert imported_rooms(source) == {"build", "rng", "engine"}
