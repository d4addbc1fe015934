"""The types that a value may have, and the settings that every run has."""

import math
import re
from dataclasses import asdict
from typing import Any, Literal

import pytest
import yaml

from trainer.config import GROUPS, check, conf_folder, differences, essential
from trainer.errors import ConfigError, did_you_mean
from trainer.schema import (
    BelowOne,
    Count,
    Degrees,
    Fraction,
    NonNegative,
    Positive,
    Share,
    Whole,
    conform,
    describe,
    wants_quotes,
)
from trainer.settings import Settings


def composed() -> dict[str, Any]:
    """The default config as plain data, composed without Hydra."""
    primary = yaml.safe_load((conf_folder() / "config.yaml").read_text())
    chosen = [choice for choice in primary.pop("defaults") if isinstance(choice, dict)]
    for choice in chosen:
        for room, name in choice.items():
            if name is not None:
                primary[room] = yaml.safe_load((conf_folder() / room / f"{name}.yaml").read_text())
                primary[room].pop("defaults", None)
    return {key: value for key, value in primary.items() if key != "hydra"}


def test_config_yaml_says_every_setting_with_its_default_and_explains_it() -> None:
    settings = {key: value for key, value in composed().items() if key not in GROUPS}
    assert settings == asdict(Settings())
    text = (conf_folder() / "config.yaml").read_text()
    assert all(re.search(rf"^{key}: .*  # \w", text, re.MULTILINE) for key in settings)


def test_a_checked_config_is_the_same_when_checked_again() -> None:
    config = check(composed())
    assert check(config.plain()) == config
    assert differences(essential(config), config) == ([], [])


@pytest.mark.parametrize(
    ("annotation", "good", "bad"),
    [
        (Count, [1, 10], [0, -1, 1.0, True, "1", None]),
        (Whole, [0, 3], [-1, 0.5, False]),
        (Positive, [1, 0.1, 1e-30], [0, -1, math.inf, math.nan, "0.1", True]),
        (NonNegative, [0, 2.5], [-0.1, math.inf, math.nan]),
        (Fraction, [0, 0.5, 1], [-0.01, 1.01, math.nan]),
        (BelowOne, [0, 0.999], [1, -0.1]),
        (Share, [0.1], [0, 1]),
        (Degrees, [0, 180], [-1, 181]),
        (bool, [True, False], [0, 1, "true"]),
        (str, ["a", ""], [1.5, None, True]),
        (str | None, ["a", None], [1.5]),
        (list[Count], [[], [1, 2]], [[0], [1, "2"], (1,), 1]),
        (dict[str, Positive], [{}, {"a": 1}], [{"a": 0}, []]),
        (Literal["a", "b"], ["a"], ["c", 1, None]),
        (Literal[1, 2, 4], [1, 4], [3, True, "1"]),
        (Share | Literal["test"], [0.5, "test"], ["tset", 2]),
    ],
)
def test_a_value_fits_its_type_or_is_refused_in_words(annotation: Any, good: list[Any], bad: list[Any]) -> None:
    for value in good:
        assert conform(value, annotation) == value
    for value in bad:
        with pytest.raises(ValueError, match=re.escape(f"{value!r} is not {describe(annotation)}")):
            conform(value, annotation)


@pytest.mark.parametrize(
    ("annotation", "value"),
    [(str | None, 7), (str, True), (list[str], ["a", 7]), (dict[str, Positive], {7: 1.0}), (Literal["a"] | str, 0.5)],
)
def test_a_number_is_no_text_since_what_was_written_may_have_looked_otherwise(annotation: Any, value: Any) -> None:
    with pytest.raises(ValueError, match=re.escape(f"{value!r} is not {describe(annotation)}")):
        conform(value, annotation)
    assert wants_quotes(value, annotation)
    assert not wants_quotes(value, Count | Literal["auto"])


def test_whole_numbers_become_floats_where_a_float_is_wanted() -> None:
    assert isinstance(conform(1, Positive), float)
    assert [type(each) for each in conform([1, 2], list[Positive])] == [float, float]


@pytest.mark.parametrize(
    ("word", "hint"), [("xresnt18", " Did you mean 'xresnet18'?"), ("LSUV", " Did you mean 'lsuv'?"), ("qqq", "")]
)
def test_the_nearest_choice_is_named_and_a_far_one_is_not(word: str, hint: str) -> None:
    assert did_you_mean(word, ["xresnet18", "lsuv", "keep"]) == hint


@pytest.mark.parametrize("node", [None, 3, {}, {"name": 3}])
def test_a_room_without_a_part_is_told(node: Any) -> None:
    with pytest.raises(ConfigError, match=r"sched: names no part\. Choose one with sched=NAME: constant"):
        check({**composed(), "sched": node})
