"""Weights on the Hugging Face hub: fetched once by the package huggingface_hub, as safetensors and nothing else."""

import re
import sys
from functools import cache
from importlib import import_module
from pathlib import Path
from types import ModuleType

from trainer.errors import CheckpointError, ConfigError, first_line

ON_HUB = "hf-hub:"
"""Before the name of a repository there, as timm has it."""
_NAME = re.compile(r"[\w-][\w.-]*/[\w-][\w.-]*", re.ASCII)
_WEIGHTS, _CONFIG = "model.safetensors", "config.json"

_REFUSALS: dict[str, str] = {
    "GatedRepoError": "is for those who accept its terms. Accept them on its page, and log in: hf auth login",
    "RepositoryNotFoundError": "is not on the hub, or not for you. Look at the name; if it is private: hf auth login",
    "RevisionNotFoundError": "has no revision '{revision}'. Name a branch, a tag or a whole commit, or leave @ out",
    "LocalEntryNotFoundError": "is not in the cache of huggingface_hub, and the hub cannot be reached. "
    "Connect once, or name a file of weights",
}
"""What is said of a repository by what huggingface_hub raises; a kind of another comes before that one."""
_NOT_SAFE = (
    f"holds no {_WEIGHTS}, and nothing else is fetched, for a pickle may hold code. Ask its owner for safetensors, or "
    "fetch the file yourself and name it: it is read as tensors alone"
)


@cache  # all of a run sees one commit, though a branch may move meanwhile
def fetched(weights: str) -> tuple[Path, str]:
    """The weights' file that hf-hub:OWNER/NAME or hf-hub:OWNER/NAME@REVISION means, and what to call it.

    It lies in the cache of huggingface_hub, beside config.json if there is one; what lies there needs no network.
    Raises ConfigError for a name that cannot be one, CheckpointError for what cannot be fetched.
    """
    name, _, revision = weights.removeprefix(ON_HUB).partition("@")
    check_name(name, f"model.weights: '{weights}'", f"{ON_HUB}OWNER/NAME, or {ON_HUB}OWNER/NAME@REVISION")
    hub = package(f"model.weights={weights}")
    try:
        folder = Path(hub.snapshot_download(name, revision=revision or None, allow_patterns=[_WEIGHTS, _CONFIG]))
    except Exception as error:  # its own, its HTTP client's, or the disk's
        kinds = {each.__name__ for each in type(error).__mro__}
        said = next((said for kind, said in _REFUSALS.items() if kind in kinds), None)
        reason = said.format(revision=revision) if said else f"did not arrive ({first_line(error)})"
        raise CheckpointError(f"weights: {ON_HUB}{name} {reason}.") from error
    file = folder / _WEIGHTS
    if not file.is_file():
        raise CheckpointError(f"weights: {ON_HUB}{name} {_NOT_SAFE}.")
    return file, f"{name}@{folder.name}/{file.name}"


def check_name(name: str, said: str, wanted: str) -> None:
    """Raises ConfigError unless it may be that of a repository: an owner and a name."""
    if not _NAME.fullmatch(name):
        raise ConfigError(f"{said} names no repository of the Hugging Face hub. Say {wanted}.")


def package(said: str) -> ModuleType:
    """The package huggingface_hub, which here warns of nothing, and draws bars on a terminal alone.

    said: what asks for it. Raises ConfigError if it is not installed.
    """
    try:
        hub = import_module("huggingface_hub")
        for part in ("errors", "utils"):  # it loads its parts late, and these not by their names
            import_module(f"huggingface_hub.{part}")
    except ImportError as error:
        raise ConfigError(
            f"{said}: the package huggingface_hub is not installed. Install it: pip install 'trainer[hub]'."
        ) from error
    hub.utils.logging.set_verbosity_error()  # what goes wrong is said once, by whoever asks
    if not sys.stderr.isatty():
        hub.utils.disable_progress_bars()
    return hub
