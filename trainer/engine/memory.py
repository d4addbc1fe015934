"""Memory that a step frees stays with the process for the next one."""

import ctypes
import sys

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # of glibc's malloc.h
_MOST = 2**30


def keep_freed_memory() -> None:
    """Tells the C library to keep what tensors leave. Only for glibc, on Linux; before the first large tensor is made.

    Else every activation above 32 MiB is mapped, zeroed by the kernel and given back in each step: a fifth of the
    processor time of an xresnet18 at 128 pixels. Torch's large pages are not asked for: they leave gaps that add up to
    250 MiB there, and save no time.
    """
    if sys.platform != "linux":
        return
    library = ctypes.CDLL(None)
    if hasattr(library, "mallopt"):  # not in musl
        library.mallopt(_MMAP_THRESHOLD, _MOST)
        library.mallopt(_TRIM_THRESHOLD, _MOST)


def give_back_freed_memory() -> None:
    """What is kept goes back to the system, so that what the process takes from here on can be told."""
    library = ctypes.CDLL(None) if sys.platform == "linux" else None
    if library is not None and hasattr(library, "malloc_trim"):  # not in musl
        library.malloc_trim(0)
