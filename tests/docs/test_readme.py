"""The README: short, sourced, and the same in both languages."""

import re
from pathlib import Path

import pytest
from pages import ROOT, blocks_of

ENGLISH, CHINESE = ROOT / "README.md", ROOT / "README.zh-CN.md"
LINK = re.compile(r"\[([^\]]*)\]\(([^)]*)\)")


def rows_of(page: Path) -> list[str]:
    """The rows of the tables of a page, without what they are linked to."""
    return [LINK.sub(r"\1", line) for line in page.read_text(encoding="utf-8").splitlines() if line.startswith("|")]


@pytest.mark.parametrize("page", [ENGLISH, CHINESE], ids=lambda page: page.name)
def test_the_readme_is_under_150_lines(page: Path) -> None:
    assert len(page.read_text(encoding="utf-8").splitlines()) < 150


def test_the_chinese_readme_has_the_commands_of_the_english_one() -> None:
    def typed(page: Path) -> list[tuple[str, str, str]]:
        return [(block.language, block.mark, re.sub(r" *# .*", "", block.text)) for block in blocks_of(page)]

    assert typed(CHINESE) == typed(ENGLISH)


def test_the_chinese_readme_leads_where_the_english_one_does() -> None:
    def leads_to(page: Path) -> set[str]:
        return {target for _, target in LINK.findall(page.read_text(encoding="utf-8"))} - {ENGLISH.name, CHINESE.name}

    assert leads_to(CHINESE) == leads_to(ENGLISH)


def test_the_chinese_tables_have_as_many_rows_and_cells_as_the_english_ones() -> None:
    assert [row.count("|") for row in rows_of(CHINESE)] == [row.count("|") for row in rows_of(ENGLISH)]


def test_what_the_readme_says_of_others_stands_with_its_sources_in_the_docs() -> None:
    page = ROOT / "docs" / "compare.md"
    compared = [row for row in rows_of(ENGLISH) if row.count("|") == 7]
    assert len(compared) > 8 and set(compared) <= set(rows_of(page))
    others = [line.split(" | ")[2:] for line in page.read_text(encoding="utf-8").splitlines() if line.startswith("|")]
    assert all(LINK.fullmatch(cell.removesuffix(" |")) for row in others[2:] for cell in row)


def test_the_picture_of_the_terminal_asks_no_network() -> None:
    picture = (ROOT / "docs" / "terminal.svg").read_text(encoding="utf-8")
    assert set(re.findall(r"https?://[^\s\"<)]+", picture)) <= {
        "http://www.w3.org/2000/svg",
        "https://www.textualize.io",
    }
