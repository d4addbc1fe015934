"""What is typed, spelled so that Hydra's grammar reads just that: text, by the schema, stays exactly as it was typed.

Left to itself the grammar makes a number of 2024_01_05 and of 1e3, a truth of true, and nothing at all of null.
"""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from types import NoneType
from typing import Any, get_args, get_origin, get_type_hints

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override, Quote, QuotedString
from hydra.errors import HydraException

from trainer.config import GROUPS, ROOMS
from trainer.errors import ConfigError
from trainer.registry import entries
from trainer.schema import alternatives
from trainer.settings import Settings

_QUOTED = re.compile(r"""'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*\"""", re.DOTALL)
_PLAIN = re.compile(r"[A-Za-z0-9_./ -]*")
"""What means the same to the grammar wherever it stands, if it is no number."""
_FUNCTION = re.compile(r"\s*\w+\s*\(")
"""How a value begins that the grammar works out: choice(a,b), range(1,4)."""


@dataclass(frozen=True)
class _Kind:
    """What the schema says of a key's value.

    text, texts: it may be text, or a list of texts, and no number. mapping: the types of the values of a mapping from
    text. null: it may be nothing. single: it never takes several values.
    """

    text: bool = False
    texts: bool = False
    mapping: tuple[Any, ...] = ()
    null: bool = False
    single: bool = False


def spelled(words: Sequence[str]) -> list[str]:
    """Each word as Hydra's grammar has it: the text in it will be read as it was typed.

    Quotes around the whole of a text are not part of it. null is nothing where the schema allows that, and commas part
    several values, but in name, resume and output. Of other values, one that is not of the grammar gets quotes.
    """
    return [_spelled(word, words) for word in words]


def shown(word: str) -> str:
    """A word as one types it: without the signs that force it into a config, and a text without quotes."""
    word = word.lstrip("+")
    key, _, value = word.partition("=")
    read = _read(value)
    return f"{key}={read.value()}" if read is not None and isinstance(read.value(), str) else word


def quoted(text: str) -> str:
    """The text in quotes, as the grammar has it."""
    return str(QuotedString(text, Quote.single).with_quotes())


def _spelled(word: str, words: Sequence[str]) -> str:
    key, equals, value = word.partition("=")
    if not equals or key.startswith("~"):
        return word
    kind = _kind(key.lstrip("+"), words)
    if kind.single:
        value = _text(value, kind.null)
    elif not (kind.text or kind.texts or kind.mapping):
        value = quoted(value) if _read(value) is None and value[:1] not in ("[", "{", "'", '"', "$") else value
    elif not _is_function(value):
        pieces = _cut(value, ",")
        value = ",".join(_one(each.strip(), kind) for each in pieces) if pieces[1:] else _one(value, kind)
    return f"{key}={value}"


def _kind(key: str, words: Sequence[str]) -> _Kind:
    """What all the types agree on that the key may have, whichever of the parts that have it is chosen."""
    if key in GROUPS:
        return _Kind(text=True)
    types = [alternatives(annotation) for annotation in _annotations(key, words)]
    if not types:
        return _Kind()
    mappings = [get_args(each)[1] for each in types[0] if get_origin(each) is dict]
    takes_text = all(str in each and not {int, float, bool} & set(each) for each in types)
    return _Kind(
        text=takes_text,
        texts=all(list[str] in each for each in types),
        mapping=tuple(alternatives(mappings[0])) if mappings else (),
        null=any(NoneType in each for each in types),
        single=takes_text and "." not in key,
    )


def _annotations(key: str, words: Sequence[str]) -> list[Any]:
    """The type of a setting, or of an option in each part that the words choose; in all parts if they choose none."""
    room, _, option = key.partition(".")
    if not option:
        return [hint for name, hint in get_type_hints(Settings, include_extras=True).items() if name == key]
    if room not in ROOMS:
        return []
    try:
        parts = entries(room, _texts(_said("plugins", words)))
    except ConfigError:  # of a plugin, which the check will tell
        parts = entries(room)
    chosen = [_unquoted(name.strip()) for name in _cut(_said(room, words), ",")]
    found = [parts[name].options for name in chosen if name in parts] or [part.options for part in parts.values()]
    return [options[option].annotation for options in found if option in options]


def _said(key: str, words: Sequence[str]) -> str:
    """The value that the words say last for a key, as typed; nothing where they say none."""
    said = [word.partition("=")[2] for word in words if word.partition("=")[0].lstrip("+") == key]
    return said[-1] if said else ""


def _cut(text: str, separator: str) -> list[str]:
    """The text cut at separators, but not within brackets, nor within quotes that a value begins with."""
    found, start, place, depth, begins = list[str](), 0, 0, 0, True
    while place < len(text):
        inside = _QUOTED.match(text, place) if begins else None
        if inside:
            place, begins = inside.end(), False
            continue
        character = text[place]
        if character == separator and depth == 0:
            found.append(text[start:place])
            start = place + 1
        depth = max(0, depth + (character in "[{(") - (character in "]})"))
        begins = character in "[{(,:" or (begins and character.isspace())
        place += 1
    return [*found, text[start:]]


def _one(value: str, kind: _Kind) -> str:
    """One value, spelled as its kind wants it."""
    inner = value.strip()
    if kind.texts and inner[:1] == "[" and inner[-1:] == "]":
        return f"[{','.join(_text(each, null=False) for each in _texts(inner))}]"
    if kind.mapping and inner[:1] == "{" and inner[-1:] == "}":
        return _mapping(inner, kind.mapping)
    return _text(value, kind.null) if kind.text else value


def _texts(value: str) -> list[str]:
    """The elements of a list as typed; none where it is no list."""
    inner = value.strip()[1:-1] if value.strip()[:1] == "[" else ""
    return [each.strip() for each in _cut(inner, ",")] if inner.strip() else []


def _text(value: str, null: bool) -> str:
    if value == "null" and null:
        return value
    read = _read(value) if _QUOTED.fullmatch(value) or _PLAIN.fullmatch(value) else None
    return value if read is not None and (_QUOTED.fullmatch(value) or read.value() == value) else quoted(value)


def _mapping(value: str, types: tuple[Any, ...]) -> str:
    """The mapping as JSON in quotes, which the schema reads: the grammar has no text as keys. As typed if it is no
    mapping."""
    result: dict[str, Any] = {}
    for entry in _cut(value[1:-1], ",") if value[1:-1].strip() else []:
        name = _cut(entry, ":")[0]
        typed = entry[len(name) + 1 :].strip()
        read = _read(typed)
        if name == entry or read is None or read.is_sweep_override():
            return value
        said, key = read.value(), name.strip()
        would_be_rewritten = str in types and not isinstance(said, str) and json.dumps(said) != typed
        result[_unquoted(key)] = typed if would_be_rewritten else said
    return quoted(json.dumps(result, ensure_ascii=False))


def _unquoted(text: str) -> str:
    read = _read(text) if _QUOTED.fullmatch(text) else None
    return text if read is None else str(read.value())


def _is_function(value: str) -> bool:
    """Whether the grammar makes several values of it by a function. A number among them is no text, which is told."""
    read = _read(value) if _FUNCTION.match(value) else None
    return read is not None and read.is_sweep_override()


def _read(value: str) -> Override | None:
    """The value as the grammar reads it; None where it cannot."""
    try:
        return OverridesParser.create().parse_override(f"x={value}")
    except HydraException:
        return None
