"""Groups by the names of files: what a pattern finds in each picture's path."""

import re
from collections.abc import Mapping

from trainer.data.files import Files
from trainer.errors import DataError


def group_by_path(parts: Mapping[str, Files], pattern: str) -> None:
    """Gives each image the group that the parentheses of the pattern hold, where it is found first in the image's path.

    Raises DataError with the first path in which nothing is found, and how many more there are.
    """
    search = re.compile(pattern).search
    for files in parts.values():
        found = [(image, search(image.key)) for image in files.images]
        files.images = [image._replace(group=match[1] if match else None) for image, match in found]
    images = [image for files in parts.values() for image in files.images]
    lost = [image.key for image in images if not image.group]
    if not lost:
        return
    if len(lost) == len(images):
        raise DataError(
            f"data.group: '{pattern}' is found in no picture's path, such as {lost[0]}. Say what of such a path names "
            "the group."
        )
    raise DataError(
        f"data.group: '{pattern}' is not found in {len(lost):,} of {len(images):,} pictures' paths, such as {lost[0]}. "
        "Widen it, so that its one pair of parentheses finds the group there too: a choice around them is (?:…|…)."
    )
