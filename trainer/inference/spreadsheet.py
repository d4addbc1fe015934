"""Text in CSV files that a spreadsheet may open: none of it is run as a formula."""

import os

_FORMULAS = ("=", "+", "-", "@", "\t", "\r", "'")
"""What a spreadsheet may take for the beginning of a formula, and the sign that says it is none."""


def escaped(text: str) -> str:
    """The text, behind an apostrophe if it begins like a formula, or with an apostrophe."""
    return f"'{text}" if text.startswith(_FORMULAS) else text


def escaped_path(path: str) -> str:
    """The path, still one of the same file: ./-1.png for what begins like a formula, and so as no other name does."""
    return os.path.join(os.curdir, path) if path.startswith(_FORMULAS) else path  # noqa: PTH118  # Path drops the ./


def unescaped(text: str) -> str:
    """What `escaped` was given: one apostrophe at the beginning is not part of it."""
    return text.removeprefix("'")
