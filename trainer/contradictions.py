"""Options of a data part that are each right and cannot act together, as far as they alone tell it."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from trainer.size import kept_at, size_of, square

_SIGNS = frozenset("\\[.*+?{|")
"""By which a pattern finds more than one text."""


def contradicting(data: Mapping[str, Any]) -> list[str]:
    """One line for each contradiction among the options of a data part."""
    return [*_of_folds(data), *_of_groups(data), *_of_sizes(data), *_of_figures(data), *_of_streams(data)]


def of_other_channels(figures: Sequence[float], channels: int) -> list[str]:
    """The line about data.mean and data.std, where they have not one number for each channel of the images."""
    if len(figures) == channels:
        return []
    kind = {1: "grey images have one channel", 3: "images in colour have 3 channels"}
    has = kind.get(channels, f"the images have {channels} channels")
    each = ",".join(["0.5"] * channels)
    return [
        f"data.mean: a list of {len(figures)}, where {has}. Give one number a channel, data.mean=[{each}], and so "
        f"data.std."
    ]


def _of_folds(data: Mapping[str, Any]) -> list[str]:
    """Cross-validation without a fold to validate, or with another way to validate."""
    val, folds, fold = (data.get(option) for option in ("val", "folds", "fold"))
    if isinstance(fold, int) and folds is None:
        return [f"data.fold: {fold} of no folds. Say how many there are: data.folds=5"]
    if not isinstance(folds, int):
        return []
    if fold is None:
        return [f"data.folds: say which of them validates, data.fold=0 to {folds - 1}; or all: -m data.fold=0,1,…"]
    if isinstance(fold, int) and fold >= folds:
        return [f"data.fold: {fold} is out of range. With data.folds={folds} it is 0 to {folds - 1}."]
    if val is not None:
        return [f"data.val: {val} cannot act with data.folds={folds}, where a fold validates. Leave one of them out."]
    return []


def _of_groups(data: Mapping[str, Any]) -> list[str]:
    """A pattern that names no groups; of a table or of Parquet it is a column, which only these can tell."""
    pattern, of_columns = data.get("group"), "file" in data or "subset" in data
    if pattern == "":
        what = "which column" if of_columns else "what in a path, such as '(p\\d+)_',"
        return [f"data.group: it is empty. Say {what} names the group, or leave it out."]
    if not isinstance(pattern, str) or of_columns:
        return []
    try:
        count = re.compile(pattern).groups
    except re.error as error:
        return [
            f"data.group: '{pattern}' is no regular expression: {error.msg}, at character {(error.pos or 0) + 1}. Mend "
            f"it, or write \\ before a character that is meant itself."
        ]
    if count == 0:
        example = f"({pattern})" if _SIGNS & set(pattern) else rf"{pattern}(\d+)"
        return [f"data.group: '{pattern}' needs parentheses around what names the group, such as '{example}'."]
    if count > 1:
        return [
            f"data.group: '{pattern}' has {count} pairs of parentheses. One may name the group; begin others with ?:"
        ]
    return []


def _of_sizes(data: Mapping[str, Any]) -> list[str]:
    """Images that would be kept otherwise than the model sees them, and a share of what is seen as a whole."""
    size, prepare, share = data.get("size"), data.get("prepare"), data.get("crop_share")
    lines: list[str] = []
    if isinstance(prepare, int | list) and isinstance(size, int | list | None):
        lines += _of_kept_size(size, prepare)
    if data.get("fit") == "pad" and share not in (None, 1):
        lines.append(
            f"data.crop_share: {share} cannot act with data.fit=pad, which shows all of a picture. Leave it out, or "
            f"use data.fit=crop."
        )
    return lines


def _of_kept_size(size: int | list[int] | None, prepare: int | list[int]) -> list[str]:
    """Images that would be kept smaller than the model sees them, or in other proportions."""
    seen = square(min(size_of(prepare))) if size is None else size_of(size)
    kept = kept_at(seen, prepare)
    if kept.height < seen.height or kept.width < seen.width:
        least = min(seen) if isinstance(prepare, int) else seen.plain
        return [
            f"data.prepare: {_said(prepare)} pixels are fewer than data.size={_said(size)}. Give {_said(least)} at "
            f"least, or leave it out."
        ]
    if abs(kept.height * seen.width - kept.width * seen.height) > 2 * max(seen):  # more than rounding makes of it
        other = "the square of data.size=null" if size is None else f"data.size={_said(size)}"
        return [
            f"data.prepare: {_said(prepare)} has other proportions than {other}, so images would be squeezed. Give "
            f"the short side alone: data.prepare={min(kept)}"
        ]
    return []


def _of_streams(data: Mapping[str, Any]) -> list[str]:
    """What wants pictures in any order, or twice, where they come by in their own."""
    if not data.get("streaming"):
        return []
    may_be = {"cache": ("auto", "none"), "denoise": ("none",), "on_error": ("stop",)}
    return [
        f"data.{option}: {data[option]} cannot act with data.streaming=true, which reads pictures as they come by. Use "
        f"{words[-1]}."
        for option, words in may_be.items()
        if isinstance(data.get(option), str) and data[option] not in words
    ]


def _said(pixels: int | list[int] | None) -> str:
    """As one says it on the command line."""
    return str(pixels).replace(" ", "")


def _of_figures(data: Mapping[str, Any]) -> list[str]:
    """Half of the figures that are given, figures of other channels, and another method beside them."""
    mean, std = (value if isinstance(value := data.get(option), list) else None for option in ("mean", "std"))
    method, grey = data.get("normalise"), data.get("grey")
    if mean is None and std is None:
        return []
    if mean is None or std is None:
        said, other = ("std", "mean") if mean is None else ("mean", "std")
        return [f"data.{said}: it acts only together with data.{other}. Give both, or neither."]
    lines = []
    if method not in (None, "auto"):
        lines.append(
            f"data.normalise: {method} cannot act with data.mean and data.std, which are figures of their own. Leave "
            f"it out, or them."
        )
    if len(mean) != len(std):
        lines.append(
            f"data.std: a list of {len(std)}, where data.mean is one of {len(mean)}. Give one number a channel."
        )
    elif isinstance(grey, bool):
        lines += of_other_channels(mean, 1 if grey else 3)
    return lines
