"""The temperature that mends a run's calibration: fitted on its validation part, stored beside its evaluations."""

from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from trainer.errors import CheckpointError
from trainer.inference.calibration import apply_temperature, fit_temperature, log_of
from trainer.inference.saved import SavedRun
from trainer.inference.single.scoring import losses_of
from trainer.records.folder import cannot_write, read_json, write_json
from trainer.report.page.words import doubt_of_temperature


@dataclass(frozen=True)
class Temperature:
    """What logits are divided by, and what that does to the negative log-likelihood of the images it was fitted on."""

    temperature: float
    nll_before: float
    nll_after: float
    images: int
    weights: str
    """The sha256 of the weights' file that it belongs to: others want another."""

    def sentence(self) -> str:
        """'temperature 1.932, fitted on 50 images (do not rely on it: 50 images are few to fit it on)'"""
        doubt = doubt_of_temperature(self.temperature, self.images)
        told = f" (do not rely on it: {doubt})" if doubt else ""
        return f"temperature {self.temperature:.3f}, fitted on {self.images:,} images{told}"


def evaluations_of(run: SavedRun) -> Path:
    """The folder that a run's evaluations lie in: in its own, or beside weights that lie alone."""
    if run.folder is not None:
        return run.folder.path / "evaluation"
    return run.path.with_name(f"{run.path.stem}-evaluation")


def fitted(run: SavedRun, probabilities: NDArray[np.float64], labels: NDArray[np.int64]) -> Temperature:
    """That of (N, C) probabilities and (N,) labels, -1 for none."""
    best = fit_temperature(log_of(probabilities), labels)
    mended = apply_temperature(probabilities, best)
    images = int((labels >= 0).sum())
    before, after = (float(losses_of(each, labels).sum() / max(1, images)) for each in (probabilities, mended))
    return Temperature(best, before, after, images, run.sha256)


def read_temperature(run: SavedRun) -> Temperature | None:
    """The one stored for these very weights; None where there is none. Raises CheckpointError if it is damaged."""
    path = _place(run)
    stored = read_json(path)
    if stored.get("weights") != run.sha256:
        return None
    damaged = CheckpointError(f"{path} is damaged. Write it again: python -m trainer evaluate {run.path}")
    try:
        divisor, before, after = (float(stored[key]) for key in ("temperature", "nll_before", "nll_after"))
        images = int(stored["images"])
    except (KeyError, TypeError, ValueError) as error:
        raise damaged from error
    if not divisor > 0:
        raise damaged
    return Temperature(divisor, before, after, images, run.sha256)


def write_temperature(run: SavedRun, found: Temperature) -> Path:
    """Stores it with the run; gives its path. Raises OutputError."""
    path = _place(run)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise cannot_write(path.parent, error) from error
    write_json(path, asdict(found))
    return path


def _place(run: SavedRun) -> Path:
    return evaluations_of(run) / "temperature.json"
