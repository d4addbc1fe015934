"""The C files of this folder as a library: compiled once on a machine, in a few seconds, and kept for all later runs.

Nothing here imports torch before the library is loaded, so that the compiler can work while torch is imported.
"""

import ctypes
import fcntl
import hashlib
import os
import platform
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from trainer.system import durable
from trainer.system.cache_folder import default_folder

if TYPE_CHECKING:
    from torch import Tensor

_SOURCES = ("batch_norm.c", "blend.c", "winograd.c")
_HEADERS = ("vectors.h",)
_HERE = Path(__file__).parent
_FLAGS = ("-O3", "-march=native", "-fno-math-errno", "-fopenmp", "-fPIC")
_PATIENCE_SECONDS = 120
_OTHERS_MAY_WRITE = 0o022


@dataclass(frozen=True)
class Library:
    """The loaded kernels; or none, and why, in words: empty where there could be none."""

    kernels: ctypes.CDLL | None
    reason: str = ""

    @property
    def name(self) -> str:
        """Names the bits that the kernels give: sources, flags, compiler and processor."""
        return _path().stem[:8]


def folder() -> Path:
    """Where the compiled kernels lie."""
    return default_folder() / "kernels"


def begin_compiling() -> None:
    """Compiles in the background what is not compiled yet; `library` waits for it, and tells if it fails."""
    if _compiler():
        threading.Thread(target=_compile, name="compiling kernels", daemon=True).start()


@cache
def library() -> Library:
    """The kernels, compiled now if they are not. They share torch's threads, and so need torch to be imported."""
    import torch  # noqa: F401 - its OpenMP is the one that the kernels find

    if sys.platform != "linux":
        return Library(None)
    if not _compiler():
        return Library(None, "no gcc is on the PATH to compile our convolutions and batch norm")
    reason = _compile()
    if reason:
        return Library(None, reason)
    try:
        return Library(ctypes.CDLL(str(_path())))
    except OSError as error:
        return Library(None, f"{_path()} cannot be loaded ({error})")


def call(name: str, *arguments: "Tensor | float | ctypes.Array[ctypes.c_ssize_t]") -> None:
    """Calls a kernel. A tensor goes as its first element's address, int, float and bool as ptrdiff_t, double and int.

    Raises MemoryError if the kernel finds no room for what it needs besides.
    """
    kernels = library().kernels
    assert kernels is not None
    if not kernels[name](*map(_in_c, arguments)):
        raise MemoryError(f"no memory left for {name}")


def _in_c(argument: "Tensor | float | ctypes.Array[ctypes.c_ssize_t]") -> object:
    if isinstance(argument, bool):
        return ctypes.c_int(argument)
    if isinstance(argument, int):
        return ctypes.c_ssize_t(argument)
    if isinstance(argument, float):
        return ctypes.c_double(argument)
    return argument if isinstance(argument, ctypes.Array) else ctypes.c_void_p(argument.data_ptr())


def _compile() -> str:
    """Makes the library unless it is there; gives why it cannot, if so. Of several processes one compiles."""
    path = _path()
    try:
        for each in (path.parent.parent, path.parent):
            each.mkdir(parents=True, exist_ok=True, mode=0o700)  # as whoever keeps images there makes it
            found = each.stat()
            if found.st_uid != os.getuid() or found.st_mode & _OTHERS_MAY_WRITE:
                return f"{each} belongs to others, or may be written by them"
        if path.exists():
            return ""
        with _alone(path.with_suffix(".lock")):
            return "" if path.exists() else _build(path)
    except OSError as error:
        return f"{path.parent} cannot be used ({error.strerror})"


def _build(path: Path) -> str:
    """Compiles to path, in a folder beside it. Gives why it cannot, if so."""
    compiler = _compiler()
    assert compiler
    text = "\n".join(f'#include "{_HERE / name}"' for name in _SOURCES)
    with TemporaryDirectory(dir=path.parent, prefix="compiling-") as place:
        objects, result = f"{place}/kernels.o", f"{place}/kernels.so"
        # Linked without -fopenmp: a second OpenMP would bring threads of its own, which get in the way of torch's.
        for step in ([*_FLAGS, "-x", "c", "-c", "-", "-o", objects], ["-shared", objects, "-o", result, "-lm"]):
            try:
                done = subprocess.run(
                    [compiler, *step], input=text.encode(), capture_output=True, timeout=_PATIENCE_SECONDS, check=False
                )
            except subprocess.TimeoutExpired:
                return f"{compiler} took longer than {_PATIENCE_SECONDS} seconds"
            if done.returncode:
                lines = done.stderr.decode(errors="replace").splitlines()
                told = next((line for line in lines if "error" in line), lines[0] if lines else "")
                return f"{compiler} cannot compile them ({told or f'it ended with {done.returncode}'})"
        durable.replace(path, Path(result).read_bytes())
    return ""


@contextmanager
def _alone(lock: Path) -> Iterator[None]:
    with lock.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


@cache
def _compiler() -> str | None:
    """gcc: other compilers bring an OpenMP that is not torch's."""
    return shutil.which("gcc") if sys.platform == "linux" else None


@cache
def _path() -> Path:
    """The library's file, named by all that it is made of: sources, flags, compiler and processor."""
    compiler = _compiler()
    assert compiler
    stat = Path(compiler).stat()
    told = [*_FLAGS, str(Path(compiler).resolve()), str(stat.st_size), str(stat.st_mtime_ns), _processor()]
    digest = hashlib.sha256("\n".join(told).encode())
    for name in (*_SOURCES, *_HEADERS):
        digest.update((_HERE / name).read_bytes())
    return folder() / f"{digest.hexdigest()[:32]}.so"


def _processor() -> str:
    """What -march=native goes by."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    said = [line for line in lines if line.startswith(("model", "cpu family", "flags", "Features"))]
    return "\n".join([platform.machine(), *dict.fromkeys(said)])
