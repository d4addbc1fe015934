"""Verbs that work on runs that are there: plain words are places, key=value are options of the verb's own signature.

`commands/VERB.py` has `run(places, words, *, option: type = default, ...)`: right of the star stands what may be said,
as it does for a part. words: the key=value that choose or describe a data set, for the verbs that take them.
"""

import re
from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

from trainer import schema
from trainer.cli.on_runs import ON_RUNS
from trainer.errors import ConfigError, did_you_mean
from trainer.registry import Option, keyword_options

_KEY = re.compile(r"[A-Za-z_][\w.]*")


def call(verb: str, words: Sequence[str]) -> int:
    """Runs the verb; its exit code.

    Raises ConfigError with all that is wrong, one error a line, and CheckpointError for a place that is no run: both
    before torch is imported.
    """
    takes, options = ON_RUNS[verb], keyword_options(f"trainer.commands.{verb}", "run")
    places: list[str] = []
    passed: list[str] = []
    said: dict[str, Any] = {}
    errors: list[str] = []
    words = _without_dashes(verb, words, options, errors)
    for word in words:
        key, equals, value = word.partition("=")
        if key in options and equals:
            said[key] = _typed(key, value, options[key], errors)
        elif key.split(".")[0] in takes.rooms and equals:
            passed.append(word)
        elif equals and _KEY.fullmatch(key) and not Path(word).exists():
            hint = did_you_mean(key, options)
            errors.append(f"{verb}: there is no option '{key}'.{hint} It takes {_takes(options, takes.rooms)}.")
        else:
            places.append(word)
    if not errors and not takes.least <= len(places) <= takes.most:
        errors.append(f"{verb}: {takes.wants}")
    if errors:
        raise ConfigError("\n".join(errors))
    for place in places[: takes.runs]:
        takes.check(Path(place).expanduser())
    return int(import_module(f"trainer.commands.{verb}").run(places, passed, **said))


def taken(verb: str, words: Sequence[str]) -> tuple[dict[str, Any], list[str]]:
    """What is said to the verb itself, by its options; and the other words, which are a training's.

    Raises ConfigError.
    """
    options = keyword_options(f"trainer.commands.{verb}", "run")
    said: dict[str, Any] = {}
    errors: list[str] = []
    ours = [word for word in words if word.partition("=")[0] in options and "=" in word]
    for word in ours:
        key, _, value = word.partition("=")
        said[key] = _typed(key, value, options[key], errors)
    if errors:
        raise ConfigError("\n".join(errors))
    return said, [word for word in words if word not in ours]


def usage(verb: str, summary: str) -> str:
    """What `python -m trainer VERB --help` prints: each option with what it takes, what it does, and its default."""
    takes, options = ON_RUNS[verb], keyword_options(f"trainer.commands.{verb}", "run")
    phrases = {shown.partition("=")[0]: (shown, phrase) for shown, phrase in takes.phrases.items()}
    rows = {}
    for key, option in options.items():
        shown, phrase = phrases[key]
        default = "" if option.default in (None, "") else f" (default {_default(option)})"
        rows[shown if "=" in shown else f"{key}={_values(option)}"] = phrase + default
    rows |= {f"{room}.OPTION=VALUE": "as for a training: another data set" for room in takes.rooms}
    width = max(map(len, rows))
    return "\n".join([summary, "", "Options", *(f"  {key:<{width}}  {rows[key]}" for key in rows)])


def _without_dashes(verb: str, words: Sequence[str], options: Mapping[str, Option], errors: list[str]) -> list[str]:
    """The words but flags, of which there are none: -x is one unless a file is called so, and - is a list of paths."""
    kept = []
    for place, word in enumerate(words):
        if not word.startswith("-") or word == "-" or Path(word).exists():
            kept.append(word)
            continue
        said = word.lstrip("-").replace("-", "_")
        following = [each for each in words[place + 1 : place + 2] if said in options and "=" not in each]
        example = said if "=" in said else f"{said}={following[0] if following else 'VALUE'}"
        errors.append(f"{verb}: {word}: there is no such flag. Options are written without dashes: {example}")
    return kept


def _values(option: Option) -> str:
    """What may be said, in a word: choices, or the kind of number."""
    if names := schema.choices(option.annotation):
        return "|".join(names)
    types = schema.alternatives(option.annotation)
    return "true|false" if bool in types else "N" if int in types else "SHARE"


def _default(option: Option) -> str:
    return str(option.default).lower() if isinstance(option.default, bool) else str(option.default)


def _takes(options: Mapping[str, Option], rooms: Sequence[str]) -> str:
    return ", ".join([*options, *(f"{room}.…" for room in rooms)])


def _typed(key: str, value: str, option: Option, errors: list[str]) -> Any:
    """The value as the option's type."""
    try:
        return schema.typed(value, option.annotation)
    except ValueError as error:
        hint = did_you_mean(value, schema.choices(option.annotation))
        errors.append(f"{key}: {error}.{hint}")
    return None
