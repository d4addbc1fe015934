"""Verbs that work on runs that are there: plain words are places, key=value are options of the verb's own signature.

`commands/VERB.py` has `run(places, words, *, option: type = default, ...)`: right of the star stands what may be said,
as it does for a part. words: the key=value that choose or describe a data set, for the verbs that take them.
"""

import re
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

from trainer import schema
from trainer.errors import ConfigError, did_you_mean
from trainer.registry import REQUIRED, Option, keyword_options

_KEY = re.compile(r"[A-Za-z_][\w.]*")


def call(verb: str, words: Sequence[str], rooms: Sequence[str]) -> int:
    """Runs the verb; its exit code. rooms: whose key=value it takes besides its options.

    Raises ConfigError with all that is wrong, one error a line.
    """
    options = keyword_options(f"trainer.commands.{verb}", "run")
    places: list[str] = []
    passed: list[str] = []
    said: dict[str, Any] = {}
    errors: list[str] = []
    for word in words:
        key, equals, value = word.partition("=")
        if key in options and equals:
            said[key] = _typed(key, value, options[key], errors)
        elif key.split(".")[0] in rooms and equals:
            passed.append(word)
        elif equals and _KEY.fullmatch(key) and not Path(word).exists():
            hint = did_you_mean(key, options)
            errors.append(f"{verb}: there is no option '{key}'.{hint} It takes {_takes(options, rooms)}.")
        else:
            places.append(word)
    needed = [key for key, option in options.items() if option.default is REQUIRED and key not in said]
    errors += [f"{verb}: option '{key}' is needed. Say {key}=…" for key in needed]
    if errors:
        raise ConfigError("\n".join(errors))
    return int(import_module(f"trainer.commands.{verb}").run(places, passed, **said))


def usage(verb: str, summary: str, rooms: Sequence[str]) -> str:
    """What `python -m trainer VERB --help` prints: each option with its type and its default."""
    options = keyword_options(f"trainer.commands.{verb}", "run")
    rows = {f"{key}={_default(option)}": schema.describe(option.annotation) for key, option in options.items()}
    rows |= {f"{room}.OPTION=VALUE": "as for a training: another data set" for room in rooms}
    width = max(map(len, rows))
    return "\n".join([summary, "", "Options, with their defaults", *(f"  {key:<{width}}  {rows[key]}" for key in rows)])


def _default(option: Option) -> str:
    value = "…" if option.default is REQUIRED else option.default
    return "null" if value is None else str(value).lower() if isinstance(value, bool) else str(value)


def _takes(options: dict[str, Option], rooms: Sequence[str]) -> str:
    return ", ".join([*options, *(f"{room}.…" for room in rooms)])


def _typed(key: str, value: str, option: Option, errors: list[str]) -> Any:
    """The value as the option's type."""
    try:
        return schema.typed(value, option.annotation)
    except ValueError as error:
        hint = did_you_mean(value, schema.choices(option.annotation))
        errors.append(f"{key}: {error}.{hint}")
    return None
