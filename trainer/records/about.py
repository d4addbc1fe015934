"""run.json: the machine and the versions that a run was made with."""

import platform
import subprocess
from importlib.metadata import version
from pathlib import Path
from typing import Any

_PACKAGES = ("torch", "torchvision", "hydra-core", "omegaconf", "numpy", "pillow")
_BIT_EXACT_ON = {
    "device": "the device",
    "gpu": "the GPU",
    "cuda": "the version of CUDA",
    "cudnn": "the version of cuDNN",
    "precision": "the precision",
    "kernels": "what the layers are computed by",
    "threads": "the number of threads",
    "processes": "the number of processes",
    "processor": "the kind of processor",
    "versions.torch": "the version of torch",
    "versions.torchvision": "the version of torchvision",
    "versions.pillow": "the version of pillow",
}


def environment() -> dict[str, Any]:
    """Versions, processor and git commit, as plain data."""
    from trainer import __version__

    return {
        "versions": {"trainer": __version__, "python": platform.python_version()}
        | {package: version(package) for package in _PACKAGES},
        "processor": _processor(),
        "git_commit": _git_commit(),
    }


def not_bit_exact(before: dict[str, Any], now: dict[str, Any]) -> list[str]:
    """What has changed between two run.json so that the same steps may give other bits; one phrase each."""
    before = {"kernels": "torch", "processes": 1, **before}  # so it was, before there were others
    pairs = {words: (_at(before, key), _at(now, key)) for key, words in _BIT_EXACT_ON.items()}
    pairs = {words: pair for words, pair in pairs.items() if {} not in pair}  # a CPU has none, an older one told none
    return [f"{words} was {old}, and is {new}" for words, (old, new) in pairs.items() if old != new]


def _at(about: dict[str, Any], key: str) -> Any:
    value: Any = about
    for word in key.split("."):
        value = value.get(word, {})
    return value


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    if not info.exists():
        return platform.processor() or platform.machine()
    names = [line.split(":", 1)[1].strip() for line in info.read_text().splitlines() if line.startswith("model name")]
    return names[0] if names else platform.machine()


def _git_commit() -> str | None:
    """The commit of the folder that the command was given in; None outside a repository, or without git."""
    try:
        found = subprocess.run(
            ["git", "rev-parse", "--verify", "--quiet", "HEAD"], capture_output=True, text=True, check=False
        )
    except OSError:
        return None
    return found.stdout.strip() or None
