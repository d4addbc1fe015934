"""Names from files, folders and settings on a terminal: no character in them is a command to it."""

import re

_COMMANDS = re.compile("[\x00-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
"""Control characters, those that end a line or turn the direction of writing, and halves of characters."""


def visible(text: str) -> str:
    """The text with such characters as \\xNN or \\uNNNN."""
    return _COMMANDS.sub(_code, text)


def visible_lines(text: str) -> str:
    """The same of each of its lines."""
    return "\n".join(map(visible, text.split("\n")))


def _code(found: re.Match[str]) -> str:
    number = ord(found.group())
    return f"\\x{number:02x}" if number < 0x100 else f"\\u{number:04x}"
