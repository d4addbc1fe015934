"""Groups by the names of files: what a pattern finds in each picture's path."""

import re
from collections.abc import Mapping, Sequence

from trainer.data.files import Files
from trainer.errors import DataError


def group_by_path(parts: Mapping[str, Files], pattern: str) -> None:
    """Gives each image the group that the pattern finds in its path. Raises DataError as groups_in does."""
    found = groups_in([[image.key for image in files.images] for files in parts.values()], pattern)
    for files, groups in zip(parts.values(), found, strict=True):
        files.images = [image._replace(group=group) for image, group in zip(files.images, groups, strict=True)]


def groups_in(paths: Sequence[Sequence[str]], pattern: str) -> list[list[str]]:
    """For each path what the parentheses of the pattern hold, where it is found first in it.

    Raises DataError with the first path in which nothing is found, and how many more there are.
    """
    search = re.compile(pattern).search
    found = [[(match[1] or "") if (match := search(path)) else "" for path in each] for each in paths]
    pairs = [pair for each, groups in zip(paths, found, strict=True) for pair in zip(each, groups, strict=True)]
    lost = [path for path, group in pairs if not group]
    if not lost:
        return found
    if len(lost) == len(pairs):
        raise DataError(
            f"data.group: '{pattern}' is found in no picture's path, such as {lost[0]}. Say what of such a path names "
            "the group."
        )
    raise DataError(
        f"data.group: '{pattern}' is not found in {len(lost):,} of {len(pairs):,} pictures' paths, such as {lost[0]}. "
        "Widen it, so that its one pair of parentheses finds the group there too: a choice around them is (?:…|…)."
    )
