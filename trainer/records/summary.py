"""summary.json: what a run came to."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from trainer.config import Config
from trainer.engine.loop import Plan, stale_epochs
from trainer.engine.metrics import Evaluation
from trainer.engine.state import State
from trainer.errors import TrainerError
from trainer.records.ending import ending
from trainer.records.lines import read_metrics
from trainer.settings import SCORES
from trainer.task.task import Verdicts

Figures = Callable[[Verdicts | None, Verdicts | None], dict[str, Any]]
"""What is told of verdicts, class by class, as plain data. By the second, of validation, thresholds are chosen."""


def summarise(
    metrics: Path,
    config: Config,
    state: State,
    plan: Plan,
    overrides: list[str],
    figures: Figures,
    *,
    verdicts: Verdicts | None = None,
    test: Evaluation | None = None,
    error: TrainerError | None = None,
) -> dict[str, Any]:
    """The outcome as plain data. Times are summed over the epochs, resumed or not; images/s are those of training.

    overrides: the words that set this run apart in a multirun. verdicts: those of the best weights in validation.
    error: what ended the run early.
    """
    epochs = [line for line in read_metrics(metrics) if line["kind"] == "epoch"]
    score = SCORES[config.parts["task"].name].removeprefix("val_")
    train_seconds = sum(line["train_seconds"] for line in epochs)
    images = sum(line["images_per_second"] * line["train_seconds"] for line in epochs)
    return {
        **ending(error),
        "task": config.parts["task"].name,
        "monitor": config.monitor,
        "best": _scores(epochs, state.best_epoch),
        "last": _scores(epochs, state.epoch),
        "test": {**_plain(test, score), **figures(test.verdicts, verdicts)} if test else None,
        "validated_on": "test" if config.parts["data"].options.get("val") == "test" else "validation",
        "epochs": state.epoch,
        "epochs_planned": config.settings.epochs,
        "probe": config.is_probe,
        "stale_epochs": stale_epochs(state, plan),
        "steps": state.step,
        "skipped_steps": int(state.skipped_steps),
        "rollbacks": state.rollbacks,
        "seconds": train_seconds + sum(line["val_seconds"] for line in epochs),
        "images_per_second": images / train_seconds if train_seconds else 0.0,
        "overrides": overrides,
        **figures(verdicts, verdicts),
    }


def _plain(test: Evaluation, score: str) -> dict[str, Any]:
    """The scores without the verdicts image by image; score: what the task calls its own."""
    return {"loss": test.loss, "objective": test.objective, score: test.score, "images": test.images}


def _scores(epochs: list[dict[str, Any]], epoch: int) -> dict[str, Any] | None:
    """Epoch, step and scores of one epoch; None where there is no such epoch."""
    found = [line for line in epochs if line["epoch"] == epoch]
    return (
        {key: value for key, value in found[-1].items() if key in ("epoch", "step") or _is_score(key)}
        if found
        else None
    )


def _is_score(key: str) -> bool:
    """train_loss, val_map and the like."""
    return key.startswith(("train_", "val_")) and not key.endswith("_seconds")
