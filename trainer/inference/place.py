"""Where a run is meant to lie: whether one is there is told before torch is imported."""

from collections.abc import Iterator
from pathlib import Path

from trainer.errors import CheckpointError, did_you_mean, some
from trainer.records.folder import RunFolder
from trainer.settings import Settings

PUBLISHED = "config.json"
"""The file by which a folder is known that `export format=safetensors` has written."""
_EXPORTS = (".onnx", ".pt2")


def check_place(path: Path) -> None:
    """Raises CheckpointError, with the nearest name, unless a run folder, a file or an exported folder is there."""
    if path.suffix.lower() in _EXPORTS and path.is_file():
        run = next(_runs_above(path), None)
        named = f"the run: {run}" if run else "the run that it was made of"
        raise CheckpointError(f"{path} is an export, for other programs to read. Name {named}")
    if not path.is_file() and not is_published(path):
        existing_run(path)


def check_records(path: Path) -> None:
    """Raises CheckpointError, with the nearest name, unless a run folder or a CSV file is there."""
    if not (path.is_file() and path.suffix.lower() == ".csv"):
        existing_run(path)


def is_published(path: Path) -> bool:
    """Whether it is a folder that was exported, or says that it is."""
    return (path / PUBLISHED).is_file() and not RunFolder(path).holds_a_run


def existing_run(path: Path) -> RunFolder:
    """The folder of a run that is there. Raises CheckpointError, with the nearest name, if it is not."""
    folder = RunFolder(path)
    if folder.holds_a_run:
        return folder
    if runs := _runs_in(path):
        names = some([str(run.relative_to(path)) for run in runs])
        raise CheckpointError(f"{path} is a folder of runs: {names}. Name one of them: {runs[0]}")
    what = "is no run folder, nor a best.pt"
    if path.exists():
        what = "holds no run (no config.yaml)" if path.is_dir() else "is a file: the folder of a run is wanted"
    here = path.parent if path.parent.is_dir() else Path(Settings.output)
    around = next(_runs_above(path), None) if path.exists() else None
    near = f" Did you mean '{around}'?" if around else did_you_mean(str(path), map(str, _runs_in(here)))
    raise CheckpointError(f"{path} {what}.{near}")


def _runs_in(folder: Path) -> list[Path]:
    """Those right below it, or else those of each day in it."""
    found = list(folder.glob("*/config.yaml")) or list(folder.glob("*/*/config.yaml"))
    return sorted(each.parent for each in found)


def _runs_above(path: Path) -> Iterator[Path]:
    """The run folders that the path lies in, the innermost first."""
    return (each for each in path.parents if RunFolder(each).holds_a_run)
