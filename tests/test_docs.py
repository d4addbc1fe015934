"""What the documents say is there, is there."""

import ast
import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PRACTICES = (ROOT / "docs" / "practices.md").read_text()
NAMED = sorted(set(re.findall(r"(test_\w+)\.py::(test_\w+)", PRACTICES)))
ROWS = {"D": 10, "A": 11, "M": 9, "I": 8, "L": 5, "O": 3, "S": 7, "P": 3, "T": 6, "R": 6}


def file_of(name: str) -> Path:
    """The one file of tests of that name."""
    (path,) = (ROOT / "tests").rglob(name)
    return path


@pytest.mark.parametrize(("file", "name"), NAMED)
def test_a_test_that_holds_a_practice_exists(file: str, name: str) -> None:
    assert re.search(rf"^def {name}\(", file_of(f"{file}.py").read_text(), re.MULTILINE)


@pytest.mark.parametrize(
    "row", [f"{letter}{number}" for letter, count in ROWS.items() for number in range(1, count + 1)]
)
def test_every_practice_has_its_words_and_a_test(row: str) -> None:
    lines = [line for line in PRACTICES.splitlines() if line.startswith(f"| {row} |")]
    assert lines
    for line in lines:
        cells = [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
        assert len(cells) == 4 and all(cells)
        assert "::test_" in cells[3]


@cache
def rows_of_tests(file: str) -> dict[str, set[int]]:
    """The rows of the torture table that each test of a file says it holds."""
    tree = ast.parse(file_of(file).read_text())
    return {
        function.name: {
            mark.args[0].value
            for mark in function.decorator_list
            if isinstance(mark, ast.Call) and ast.unparse(mark.func) == "pytest.mark.row"
        }
        for function in tree.body
        if isinstance(function, ast.FunctionDef) and function.name.startswith("test_")
    }


@pytest.mark.parametrize("row", range(1, 41))
def test_every_row_of_the_torture_table_names_tests_that_carry_its_number(row: int) -> None:
    _, _, text = (ROOT / "docs" / "reliability.md").read_text().partition("## The forty rows")
    (line,) = [line for line in text.splitlines() if line.startswith(f"| {row} |")]
    cells = [cell.strip() for cell in line.split("|")[1:-1]]
    assert len(cells) == 4 and all(cells)
    for held in cells[3].split("<br>"):
        file, *names = held.strip("`").split("::")
        assert names
        for name in names:
            assert row in rows_of_tests(file)[name.strip(", ")], name


@pytest.mark.parametrize(
    "document", ["README.md", "CONTRIBUTING.md", *sorted(f"docs/{path.name}" for path in (ROOT / "docs").glob("*.md"))]
)
def test_links_and_pictures_lead_somewhere(document: str) -> None:
    path = ROOT / document
    for target in re.findall(r"\]\((?!http)([^)#]+)\)", path.read_text()):
        assert (path.parent / target).exists(), target
