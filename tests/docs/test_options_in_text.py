"""Options that stand in the text of a page, in tables too, are options of some part, and their values may be so."""

import re
from contextlib import suppress
from pathlib import Path

import pytest
from pages import PAGES

from trainer.config import ROOMS
from trainer.registry import entries
from trainer.schema import typed

SAID = re.compile(rf"(?:^|[\s'])({'|'.join(ROOMS)})\.(\w+)='?(\[[^]]*\]|{{[^}}]*}}|[^\s'=]*)")
"""ROOM.OPTION=VALUE among the words of a span of code."""
FOR_OTHERS = re.compile(r"…|^[A-Z]+$|^[^[{]*,")
"""A value that stands for any other, or one of several: none that could be checked."""


def wrong_in(text: str) -> list[str]:
    """The options in the spans of code of a text that no part has, or not with this value."""
    found = []
    for span in re.findall(r"`([^`\n]+)`", re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL)):
        for room, option, value in SAID.findall(span):
            kinds = [part.options[option].annotation for part in entries(room).values() if option in part.options]
            may_be = any(fits(value, kind) for kind in kinds) or (kinds and FOR_OTHERS.search(value))
            if not may_be and option != "name":
                found.append(f"{room}.{option}={value}")
    return found


def fits(value: str, kind: object) -> bool:
    with suppress(ValueError):
        typed(re.sub(r"^(\d+)e", r"\1.0e", value), kind)  # 1e-3 is text to YAML, and a number to Hydra
        return True
    return False


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_option_in_the_text_of_a_page_is_one_and_may_have_its_value(page: Path) -> None:
    assert wrong_in(page.read_text(encoding="utf-8")) == []


def test_an_option_that_is_none_and_a_value_that_cannot_be_are_found() -> None:
    text = "`optim.lrr=1`, `-m aug.flip=0.5 aug.rotate=500`, `data.fold=0,1,2`, `data.root=…`, optim.none=1"
    assert wrong_in(text) == ["optim.lrr=1", "aug.rotate=500"]
