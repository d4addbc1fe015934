"""trainer: image classifiers, trained from one command and judged in words."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from trainer.cli.python import train
    from trainer.inference.classifier import load

__version__ = "0.1.0"
__all__ = ["__version__", "load", "train"]

_HOMES = {"load": "trainer.inference.classifier", "train": "trainer.cli.python"}


def __getattr__(name: str) -> Any:
    """`load` and `train`, imported when they are first asked for: `import trainer` alone costs nothing."""
    if name not in _HOMES:
        raise AttributeError(f"module 'trainer' has no attribute '{name}'")
    return getattr(import_module(_HOMES[name]), name)
