"""Names from files and folders on a terminal: no character in them is a command to it."""

import unicodedata


def visible(text: str) -> str:
    """The text, with control characters, and those that turn the direction of writing, as \\xNN or \\uNNNN."""
    return "".join(_code(sign) if unicodedata.category(sign) in ("Cc", "Cf", "Cs") else sign for sign in text)


def _code(sign: str) -> str:
    number = ord(sign)
    return f"\\x{number:02x}" if number < 0x100 else f"\\u{number:04x}" if number < 0x10000 else f"\\U{number:08x}"
