"""Text in CSV files that a spreadsheet may open: none of it is run as a formula."""

_FORMULAS = ("=", "+", "-", "@", "\t", "\r", "'")
"""What a spreadsheet may take for the beginning of a formula, and the sign that says it is none."""


def escaped(text: str) -> str:
    """The text, behind an apostrophe if it begins like a formula, or with an apostrophe."""
    return f"'{text}" if text.startswith(_FORMULAS) else text


def unescaped(text: str) -> str:
    """What `escaped` was given: one apostrophe at the beginning is not part of it."""
    return text.removeprefix("'")
