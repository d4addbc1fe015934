"""best.yaml: the whole config of the best run of a sweep, to be run again."""

import shlex
from pathlib import Path

from trainer.records.folder import RunFolder, config_text, replace_text
from trainer.sweep.results import Result, Standings

BEST = "best.yaml"


def write_best(folder: Path, best: Result, found: Standings) -> Path:
    """Writes it, and tells where. Raises CheckpointError if the config of the run is damaged, or OutputError."""
    config = {**RunFolder(folder / best.run).stored_config(), "name": None}  # its own name is that of the sweep
    comment = (
        f"# The whole config of run {best.run}, the best of {len(found.results)}. To run it again: {again(folder)}\n"
    )
    replace_text(folder / BEST, comment + config_text(config))
    return folder / BEST


def again(folder: Path) -> str:
    """The command that runs it again."""
    return f"python -m trainer --config-path {shlex.quote(str(folder))} --config-name {Path(BEST).stem}"
