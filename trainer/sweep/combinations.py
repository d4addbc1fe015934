"""The jobs of a multirun: the combinations of the values that were said, as far as they exist."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from itertools import product
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override, OverrideType, Transformer
from hydra.plugins.sweeper import Sweeper

from trainer.errors import ConfigError
from trainer.registry import entries

Choice = Mapping[str, str]
"""key or group -> one of the values said for it, as written."""


def combinations(overrides: Sequence[Override]) -> list[Choice]:
    """Every combination of the values, in the order of the words, none twice; of a key said twice the last counts.

    An option is said to those of several parts that have it: of aug=none,light aug.flip=0,0.5 come three.
    """
    offered = offered_by(overrides)
    owners = {key: _owners(key, offered) for key in offered}
    every = (dict(zip(offered, values, strict=True)) for values in product(*offered.values()))
    return _once(_said(choice, owners) for choice in every)


def covering(overrides: Sequence[Override]) -> list[Choice]:
    """Combinations that have each value once at least, the others being the first that go with it."""
    offered = offered_by(overrides)
    owners = {key: _owners(key, offered) for key in offered}
    first = {key: values[0] for key, values in offered.items()}
    single = ((key, value) for key, values in offered.items() for value in values)
    each = ({**first, key: value, **_part_for(key, first, offered, owners[key])} for key, value in single)
    return _once(_said(choice, owners) for choice in (first, *each))


def offered_by(overrides: Sequence[Override]) -> dict[str, list[str]]:
    """The values that are said for each key."""
    return {each.key_or_group: values_of(each) for each in overrides}


def applies(key: str, choice: Choice, offered: Mapping[str, Sequence[str]]) -> bool:
    """Whether the option of this key is said to the part that is chosen."""
    return _is_for(key, choice, _owners(key, offered))


def values_of(override: Override) -> list[str]:
    """Each value that a sweep gives to the key, as written, of an interval its ends; of an ordinary word the one."""
    if override.is_sweep_override() and override.is_discrete_sweep():
        return [str(value) for value in override.sweep_iterator(transformer=Transformer.encode)]
    if override.is_sweep_override():
        interval: Any = override.value()
        return [str(interval.start), str(interval.end)]
    return ["" if override.type is OverrideType.DEL else override.get_value_string()]


def _once(choices: Iterator[Choice]) -> list[Choice]:
    return list({tuple(choice.items()): choice for choice in choices}.values())


def _said(choice: Choice, owners: Mapping[str, Collection[str]]) -> Choice:
    """The choice without the options that the chosen parts lack and others on offer have."""
    return {key: value for key, value in choice.items() if _is_for(key, choice, owners[key])}


def _part_for(
    key: str, first: Choice, offered: Mapping[str, Sequence[str]], owners: Collection[str]
) -> Mapping[str, str]:
    """The part to choose so that the option can be said to it; nothing where the first one has it."""
    room = key.partition(".")[0]
    if _is_for(key, first, owners):
        return {}
    return {room: next(value for value in offered[room] if _text_of(value) in owners)}


def _is_for(key: str, choice: Choice, owners: Collection[str]) -> bool:
    """Whether the part that is chosen has the option, or it is not for the parts to say."""
    return not owners or _text_of(choice[key.partition(".")[0]]) in owners


def _owners(key: str, offered: Mapping[str, Sequence[str]]) -> set[str]:
    """Those of several parts on offer that have the option; none where it is not for them to say whether it applies.

    A part that stands in a YAML file of one's own has it for all that is known: the check will tell.
    """
    room, _, option = key.partition(".")
    if not option or len(offered.get(room, ())) < 2:
        return set()
    names = {_text_of(value) for value in offered[room]}
    try:
        parts = entries(room, _plugins(offered))
    except ConfigError:  # of a plugin, which the check will tell
        parts = entries(room)
    return {name for name in names if name not in parts or option in parts[name].options}


def _plugins(offered: Mapping[str, Sequence[str]]) -> list[str]:
    said: Any = OverridesParser.create().parse_override(f"x={offered['plugins'][0]}") if "plugins" in offered else None
    return [str(each) for each in said.value()] if said is not None and isinstance(said.value(), list) else []


@cache
def _text_of(value: str) -> str:
    """A part's name without the quotes that the grammar needs."""
    return str(OverridesParser.create().parse_override(f"x={value}").value())


@contextmanager
def combining() -> Iterator[None]:
    """While it lasts, Hydra's basic sweeper makes these combinations, and composes a job as it starts it.

    It would compose all jobs before the first, too: their values are checked.
    """
    from hydra._internal.core_plugins.basic_sweeper import BasicSweeper  # not above: Hydra makes it anew as it starts

    split, validate = BasicSweeper.split_arguments, Sweeper.validate_batch_is_legal
    BasicSweeper.split_arguments = staticmethod(batches)  # type: ignore[assignment]
    Sweeper.validate_batch_is_legal = lambda *_: None  # type: ignore[method-assign]
    try:
        yield
    finally:
        BasicSweeper.split_arguments = staticmethod(split)  # type: ignore[method-assign]
        Sweeper.validate_batch_is_legal = validate  # type: ignore[method-assign]


def batches(overrides: Sequence[Override], most: int | None) -> list[list[list[str]]]:
    """The jobs by their words, in batches of so many at most."""
    by_key = {each.key_or_group: each for each in overrides}
    jobs = [[_word(by_key[key], value) for key, value in choice.items()] for choice in combinations(overrides)]
    size = most or len(jobs)
    return [jobs[start : start + size] for start in range(0, len(jobs), size)]


def _word(override: Override, value: str) -> str:
    return (override.input_line or "") if override.type is OverrideType.DEL else f"{override.get_key_element()}={value}"
