"""What the documents say is there, is there."""

import ast
import re
from functools import cache
from pathlib import Path

import pytest
import yaml
from pages import PAGES

from docs import choices

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
    for held in re.sub(r"</?details>|<summary>.*?</summary>", "", cells[3]).split("<br>"):
        file, *names = held.strip("`").split("::")
        assert names
        for name in names:
            assert row in rows_of_tests(file)[name.strip(", ")], name


SITE = sorted((ROOT / "docs").glob("*.md"))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_and_pictures_lead_somewhere(page: Path) -> None:
    for target, _, anchor in re.findall(r"\]\((?!http)([^)#]*)(#?)([^)]*)\)", page.read_text()):
        leads_to = page.parent / target if target else page
        assert leads_to.exists(), target
        assert page not in SITE or ROOT / "docs" in leads_to.parents, (
            f"{target} is not on the site: name it, and link nothing"
        )
        assert leads_to.suffix != ".md" or not anchor or anchor in anchors_of(leads_to), f"{target}#{anchor}"


@cache
def anchors_of(page: Path) -> set[str]:
    """What a heading is called in a link: as GitHub and the site make it."""
    without_blocks = re.sub(r"^```.*?^```$", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    headings = re.findall(r"^#+ (.+)$", without_blocks, re.MULTILINE)
    return {re.sub(r"\s", "-", re.sub(r"[^\w\s-]", "", heading).strip().lower()) for heading in headings}


def test_every_page_has_a_place_in_the_navigation_and_every_place_a_page() -> None:
    nav = yaml.safe_load((ROOT / "mkdocs.yml").read_text())["nav"]
    places = [page for section in nav for pages in section.values() for each in pages for page in each.values()]
    assert sorted(places) == [page.name for page in SITE]


def test_the_page_of_choices_is_current() -> None:
    assert choices.PAGE.read_text(encoding="utf-8") == choices.page(), "run python -m docs.choices"


@pytest.mark.parametrize("picture", re.findall(r"!\[([^\]]*)\]", "".join(page.read_text() for page in SITE)))
def test_a_picture_says_in_words_what_it_shows(picture: str) -> None:
    assert len(picture) > 10
