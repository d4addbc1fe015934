"""Whether decoded images are kept in memory, on disk, or not at all."""

import contextlib
import os
import statistics
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from trainer.data.keep import Keep
from trainer.data.source import Samples
from trainer.errors import DataError
from trainer.feed.cache import Header, gib, no_room, obstacle
from trainer.feed.pack import path_of

_LONG_SECONDS = 3.0
"""A set that takes longer to decode is worth a file: reading one back takes a hundredth of that."""
_PROBED = 8
_GROUP = Path("/sys/fs/cgroup")
"""Where a container's limits are told."""
Place = Literal["ram", "disk", "none"]


def choose(
    keep: Keep, headers: Sequence[Header], probe: Samples, workers: int, processes: int = 1
) -> tuple[Place, str]:
    """Where to keep images whose stores would have these headers, and the line that says so.

    What is to lie on a device is kept here as with auto: for later runs, and for what is not trained on. probe: some of
    them, on which the time to decode them all is estimated. processes: that read them; of several one is to decode for
    all, and in memory each has its own. Raises DataError if they are to be on disk, and do not fit.
    """
    pixels = sum(header.count * header.image_bytes for header in headers)
    on_disk = keep.cache in ("auto", "disk", "device")
    wanted = {path_of(header, keep.folder): header.num_bytes for header in headers} if on_disk else {}
    missing = [path for path in wanted if not os.access(path, os.R_OK)]
    why_not = obstacle(keep.folder, wanted, keep.limit) if missing else None
    if keep.cache == "disk" and why_not:
        raise no_room(sum(wanted.values()), why_not)
    if keep.cache in ("ram", "disk", "none"):
        return keep.cache, _words(keep, keep.cache, pixels)
    fits_in_memory = processes * pixels <= available_memory() // 4
    again = (
        processes > 1 or not missing or _seconds(probe, sum(each.count for each in headers), workers) > _LONG_SECONDS
    )
    if why_not is None and (again or not fits_in_memory):
        return "disk", _words(keep, "disk", pixels)
    if fits_in_memory:
        return "ram", _words(keep, "ram", pixels)
    return "none", f"{_words(keep, 'none', pixels)} They do not fit into memory, nor on disk: {why_not}."


def available_memory() -> int:
    """Bytes that this process may still take: what the system has left, or what a container's limit leaves."""
    meminfo = Path("/proc/meminfo")
    if not meminfo.exists():  # not Linux
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2
    fields = dict(line.split(":", 1) for line in meminfo.read_text().splitlines())
    available = int(fields["MemAvailable"].split()[0]) * 1024
    limit = _GROUP / "memory.max"
    if limit.exists() and (most := limit.read_text().strip()) != "max":
        # What was read from files is let go when it is needed: a container that has seen its images is not full.
        files = dict(line.split() for line in (_GROUP / "memory.stat").read_text().splitlines())["inactive_file"]
        available = min(available, int(most) - int((_GROUP / "memory.current").read_text()) + int(files))
    return max(0, available)


def _words(keep: Keep, place: Place, num_bytes: int) -> str:
    named = f" data.cache_dir={keep.cache_dir}" if keep.cache_dir else ""
    where = {
        "ram": "are kept in memory",
        "disk": f"are kept in {keep.folder} for later runs; python -m trainer cache{named} lists what lies there",
        "none": "are not kept, but decoded anew each epoch",
    }
    return f"data.cache={keep.cache}: the decoded images ({gib(num_bytes)}) {where[place]}."


def _seconds(samples: Samples, count: int, workers: int) -> float:
    """About how long it takes to decode count such images: by the median of a few, for the first one warms up."""
    times = []
    for index in range(0, len(samples), -(-len(samples) // _PROBED)):
        began = time.perf_counter()
        with contextlib.suppress(DataError):  # the decoding of all will tell
            samples.image(index)
        times.append(time.perf_counter() - began)
    return statistics.median(times) * count / max(1, workers)
