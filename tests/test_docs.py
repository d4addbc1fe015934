"""What the documents say is there, is there."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PRACTICES = (ROOT / "docs" / "practices.md").read_text()
NAMED = sorted(set(re.findall(r"(test_\w+)\.py::(test_\w+)", PRACTICES)))
ROWS = {"D": 9, "A": 11, "M": 9, "I": 8, "L": 5, "O": 3, "S": 7, "P": 3, "T": 6, "R": 4}


@pytest.mark.parametrize(("file", "name"), NAMED)
def test_a_test_that_holds_a_practice_exists(file: str, name: str) -> None:
    assert re.search(rf"^def {name}\(", (ROOT / "tests" / f"{file}.py").read_text(), re.MULTILINE)


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


@pytest.mark.parametrize("document", ["README.md", "docs/design.md", "docs/experiments.md", "docs/practices.md"])
def test_links_and_pictures_lead_somewhere(document: str) -> None:
    path = ROOT / document
    for target in re.findall(r"\]\((?!http)([^)#]+)\)", path.read_text()):
        assert (path.parent / target).exists(), target
