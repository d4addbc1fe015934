"""The arrangement of the code: imports go downhill, and docs/design.md shows it as it is."""

import ast
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

from docs.house import FLOORS, GROUND, PACKAGE, PAGE, arrows, drawn, imported_rooms, room_of, without_implied

ENDS = {"__main__": -1}
"""Who may import from everywhere: the entrance."""
RANK_OF = {**{room: rank for rank, floor in enumerate(FLOORS) for room in floor}, **ENDS}
MODULES = [path for path in sorted(PACKAGE.rglob("*.py")) if path != PACKAGE / "__init__.py"]
ORDER_OF_GROUND = (
    ("errors", "schema", "size", "stored", "settings", "agreement", "contradictions", "rng", "system"),
    ("registry",),
    ("config",),
)


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_a_module_imports_only_from_its_own_room_and_from_lower_floors(path: Path) -> None:
    room = room_of(path)
    for other in imported_rooms(path.read_text()) - {room}:
        if room in GROUND:
            assert other in GROUND, f"{room} imports {other}"
        else:
            assert other in GROUND or RANK_OF[other] > RANK_OF[room], f"{room} imports {other}"


def test_the_ground_floor_has_an_order_too() -> None:
    rank_of = {room: rank for rank, rooms in enumerate(ORDER_OF_GROUND) for room in rooms}
    assert rank_of.keys() == GROUND
    for path in MODULES:
        room = room_of(path)
        if room in GROUND:
            for other in imported_rooms(path.read_text()) - {room}:
                assert rank_of[other] <= rank_of[room], f"{room} imports {other}"


def test_no_arrows_make_a_circle() -> None:
    assert list(TopologicalSorter(arrows()).static_order())


def test_the_picture_of_the_rooms_is_current() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert page == drawn(page), "run python -m docs.house"


def test_the_walk_sees_an_import_wherever_it_stands() -> None:
    source = "import trainer.build\nfrom trainer import rng\ndef f():\n    from trainer.engine.loop import fit\n"
    assert imported_rooms(source) == {"build", "rng", "engine"}


def test_an_arrow_that_others_imply_is_left_out_of_the_picture() -> None:
    assert without_implied({"a": {"b", "c"}, "b": {"c"}, "c": set()}) == [("a", "b"), ("b", "c")]


def test_no_module_is_without_a_place() -> None:
    rooms = {room_of(path) for path in MODULES}
    assert rooms <= {*RANK_OF, *GROUND}
    assert all(ast.parse(path.read_text()) for path in MODULES)
