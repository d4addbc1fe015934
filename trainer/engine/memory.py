"""Memory that a step frees stays with the process for the next one."""

import ctypes
import os
import sys

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # of glibc's malloc.h
_MOST = 2**30


def keep_freed_memory() -> None:
    """Tells the C library to keep what tensors leave, and torch to ask for large pages. Only for glibc, on Linux.

    Else every activation above 32 MiB is mapped, zeroed by the kernel and given back in each step: a fifth of the
    processor time of an xresnet18 at 128 pixels, for a sixth less memory at the peak. It must be called before
    the first large tensor is made.
    """
    if sys.platform != "linux":
        return
    os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")
    library = ctypes.CDLL(None)
    if hasattr(library, "mallopt"):  # not in musl
        library.mallopt(_MMAP_THRESHOLD, _MOST)
        library.mallopt(_TRIM_THRESHOLD, _MOST)
