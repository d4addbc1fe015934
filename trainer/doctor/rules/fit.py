"""Rules on training against validation: learnt by heart, not learnt enough, or measured on something else."""

from trainer.doctor.finding import Finding
from trainer.doctor.history import History
from trainer.doctor.reading import (
    DOUBT,
    at_chance,
    best_val,
    chance,
    enough,
    falls,
    guessing_loss,
    held,
    is_small,
    last_with,
    learnt,
    progress,
    said,
    standard_error,
    train_losses,
    val_losses,
)

GAP = 0.15
"""Between training and validation accuracy: more than other pictures of the same kind cost."""
LEARNT_WELL = 0.9
"""X5: training above it, and validation well below, is learning by heart; below it, training comes first."""
FAR_FROM_ONE = 0.7
"""Of the way from chance to 1, in training: below it a small network is at its end, above it time may do."""
HALF = 0.5
"""Of training's way from chance, once that has begun: pictures of its own kind are further by then."""
SIDED = 0.2
"""Of the way from chance to 1: so many more get the commonest answer where pictures are of another kind."""
FEW_OF_A_CLASS = 20
"""Training images."""
FEW_IMAGES = 100
"""Validation images of which one is a hundredth of the accuracy."""
FLAT = 0.02
"""Share of its size within which a loss stands still."""


def other_distribution(history: History) -> Finding | None:
    """X4: training fits, validation is far below from the first epoch on: its pictures are of another kind."""
    share, validated = learnt(history), held(history)
    if not enough(history) or share is None or validated is None or share < 0.6 or validated > 0.6 * share:
        return None
    if (history.train_images or FEW_OF_A_CLASS * len(history.classes)) < FEW_OF_A_CLASS * len(history.classes):
        return None  # of so few nobody learns what a class looks like
    early = next((epoch for epoch in history.epochs if (progress(history, epoch.train_score) or 0.0) > 0.3), None)
    last = last_with(history, lambda epoch: epoch.vitals.commonest)
    luck, before = chance(history) or 0.0, progress(history, early.val_score) if early else None
    one_sided = (last.vitals.commonest or 0.0) if last else 0.0
    below = (history.epochs[-1].val_score or 0.0) < luck - DOUBT * standard_error(luck, history.val_images)
    is_sided = not last or one_sided > luck + SIDED * (1 - luck) or below
    if early is None or before is None or before > HALF * (progress(history, early.train_score) or 0.0) or not is_sided:
        return None
    sided = f"; {one_sided:.0%} of its images get the same answer" if last else ""
    return Finding(
        rule="other_distribution",
        severity="fault",
        what="Training fits, and validation is far below from the first epoch on: its pictures are of another kind.",
        evidence=f"training {history.epochs[-1].train_score or 0.0:.1%}, validation {best_val(history) or 0.0:.1%} at "
        f"best, chance {luck:.1%}{sided}",
        confidence=0.8 if last else 0.6,
        advice="Compare pictures of both parts. To see what training is worth on its own kind, hold out a share of it.",
        practice="X4",
    )


def overfit(history: History) -> Finding | None:
    """X5: training goes on to fall while validation stands still or rises: learnt by heart."""
    by_score = _gap(history)
    if not enough(history) or by_score is None or by_score < GAP + 2 * _error(history):
        return None
    last, share = history.epochs[-1], learnt(history)
    if (share if share is not None else last.train_score or 0.0) < 0.6:
        return None
    words = _more_variety(history)
    few = history.train_images is not None and history.train_images < 5_000
    return Finding(
        rule="overfit",
        severity="warning",
        what="It learns its training images by heart: "
        + ("there are too few of them" if few else "it is far better on them than on others")
        + (", and none is varied." if said(history, "aug.name") == "none" else "."),
        evidence=f"in epoch {last.number} training is right in {last.train_score or 0.0:.1%}, validation in "
        f"{last.val_score or 0.0:.1%}"
        + (f"; {history.train_images:,} training images" if history.train_images else ""),
        confidence=0.8,
        words=words,
        advice="More training images help most.",
        practice="X5",
    )


def overfit_by_loss(history: History) -> Finding | None:
    """X4: the validation loss rises for long while training's falls, whatever the scores say."""
    training, validation = train_losses(history), val_losses(history)
    if not enough(history) or len(validation) < 6 or len(training) != len(validation):
        return None
    lowest = min(range(len(validation)), key=validation.__getitem__)
    if (
        validation[-1] < 1.25 * validation[lowest]
        or training[-1] > 0.8 * training[lowest]
        or lowest + 3 > len(validation)
    ):
        return None
    gap = _gap(history)
    return Finding(
        rule="overfit_by_loss",
        severity="note" if gap is not None else "warning",
        what="The validation loss rises while training's goes on to fall: it grows too sure of its answers.",
        evidence=f"validation loss {validation[lowest]:.3g} in epoch {history.epochs[lowest].number}, "
        f"{validation[-1]:.3g} at the end; training's fell to {training[-1]:.3g}",
        confidence=0.7,
        words="early_stop=5 monitor=val_loss" if history.config else "",
        advice="" if history.config else "Keep the weights of that epoch, and stop there.",
        practice="X4",
    )


def model_too_small(history: History) -> Finding | None:
    """X5: training and validation end alike, both far from 1, in a network of few weights."""
    share = learnt(history) or 0.0
    if not is_small(history) or share > FAR_FROM_ONE or not (_underfits(history) or at_chance(history)):
        return None
    return Finding(
        rule="model_too_small",
        severity="warning",
        what="The model is too small to hold what the pictures show.",
        evidence=f"{history.about['parameters']:,} parameters; of the way from chance training came "
        f"{max(0.0, share):.0%}, validation {max(0.0, held(history) or 0.0):.0%}",
        confidence=0.75,
        words=_wider(history),
        practice="X5",
    )


def underfit(history: History) -> Finding | None:
    """X5: training below 90 %: train longer before anything else."""
    if not _underfits(history):
        return None
    last, planned = history.epochs[-1], history.epochs_planned or len(history.epochs)
    return Finding(
        rule="underfit",
        severity="note",
        what="Training itself has not come far: it can learn more of these pictures.",
        evidence=f"training is right in {last.train_score or 0.0:.1%}, validation in {last.val_score or 0.0:.1%}",
        confidence=0.6,
        words=f"epochs={2 * planned}" if history.config else "",
        advice="" if history.config else "Train longer before anything else.",
        practice="X5",
    )


def training_flat(history: History) -> Finding | None:
    """X4: training stands still, validation falls: the data are wrong."""
    training, validation = train_losses(history), val_losses(history)
    if not enough(history) or len(validation) < 5 or at_chance(history) or len(training) != len(validation):
        return None
    second = len(training) // 3
    if abs(falls(training[second:])) > FLAT or falls(validation[second:]) < 0.2 or training[-1] < 2 * validation[-1]:
        return None
    return Finding(
        rule="training_flat",
        severity="warning",
        what="Training stands still while validation falls: the two do not measure the same.",
        evidence=f"training loss {training[second]:.3g} to {training[-1]:.3g}, validation {validation[second]:.3g} to "
        f"{validation[-1]:.3g}",
        confidence=0.4,
        advice="Look at the training pictures and labels: python -m trainer preview.",
        practice="X4",
    )


def both_rise(history: History) -> Finding | None:
    """X4: both losses rise: structure, hyper-parameters or data."""
    training, validation = train_losses(history), val_losses(history)
    if not enough(history) or len(training) < 3 or len(validation) < 3:
        return None
    if falls(training) > -0.1 or falls(validation) > -0.1:
        return None
    used = said(history, "optim.lr")
    return Finding(
        rule="both_rise",
        severity="fault",
        what="Training and validation loss both rise.",
        evidence=f"training {training[0]:.3g} to {training[-1]:.3g}, validation {validation[0]:.3g} to "
        f"{validation[-1]:.3g}",
        confidence=0.6,
        words=f"optim.lr={used / 10:.2g}" if isinstance(used, float) else "",
        advice="" if used else "Lower the rate first.",
        practice="X4",
    )


def flattering_validation(history: History) -> Finding | None:
    """C17: validation is far better than the test part: its pictures are known from training, or chosen on."""
    test, best = history.summary.get("test") or {}, best_val(history)
    score, images = test.get("accuracy"), test.get("images")
    if history.task != "single" or score is None or best is None:
        return None
    if best - score < 0.08 + 2 * (standard_error(score, images) + _error(history)):
        return None
    return Finding(
        rule="flattering_validation",
        severity="warning",
        what="Validation flatters: the test part is much worse. Pictures may lie both in training and in validation.",
        evidence=f"validation {best:.1%} at best, test {score:.1%} of {images:,} images",
        confidence=0.8,
        advice="python -m trainer check finds pictures that lie in both; data.group keeps those of a kind together.",
        practice="C17",
    )


def small_validation(history: History) -> Finding | None:
    """C3: a validation part so small that epochs cannot be told apart by it."""
    images, best = history.val_images, best_val(history)
    if images is None or best is None or images >= FEW_IMAGES or len(history.epochs) < 2:
        return None
    error = 2 * standard_error(min(max(best, 1 / (images + 2)), 1 - 1 / (images + 2)), images)
    return Finding(
        rule="small_validation",
        severity="note",
        what="Validation is too small to tell two epochs apart: the best one is chosen by luck as much as by worth.",
        evidence=f"{images} images: {best:.1%} may as well be {error:.1%} more or less",
        confidence=0.6,
        words="data.val=0.3" if isinstance(said(history, "data.val"), float) else "",
        advice="Hold out more images.",
        practice="C3",
    )


def easier_validation(history: History) -> Finding | None:
    """A9: validation is easier than training, which sees its pictures changed. No fault."""
    last = history.epochs[-1] if history.epochs else None
    if last is None or not enough(history) or last.train_score is None or last.val_score is None:
        return None
    if (
        last.val_score - last.train_score < 0.02
        or (learnt(history) or 0.0) < 0.3
        or said(history, "aug.name") in (None, "none")
    ):
        return None
    return Finding(
        rule="easier_validation",
        severity="note",
        what="Validation is better than training, and that is no fault: training sees its pictures changed.",
        evidence=f"training {last.train_score:.1%}, validation {last.val_score:.1%}; aug={said(history, 'aug.name')}",
        confidence=0.5,
        practice="A9",
    )


def still_learning(history: History) -> Finding | None:
    """X4: both losses still fall at the end: more epochs would help."""
    validation, losses = val_losses(history), train_losses(history)
    if len(validation) < 2 or len(losses) < 2 or history.status not in (None, "finished"):
        return None
    third = max(1, len(validation) // 3)
    is_best = validation[-1] <= min(validation)
    if not is_best or falls(validation[-third - 1 :]) < 0.03 or falls(losses[-third - 1 :]) < 0.03:
        return None
    if (best_val(history) or 0.0) > 0.99:
        return None
    planned = history.epochs_planned
    return Finding(
        rule="still_learning",
        severity="note",
        what="Both losses were still falling at the end, and the last epoch was the best: more epochs may well help.",
        evidence=f"validation loss {validation[-third - 1]:.3g} to {validation[-1]:.3g} in the last "
        + (f"{third} epochs" if third > 1 else "epoch"),
        confidence=0.7,
        words=f"epochs={2 * planned}" if planned else "",
        advice="" if planned else "Train longer.",
        practice="X4",
    )


def _underfits(history: History) -> bool:
    """Whether training has ended far from 1, and validation with it."""
    share, gap, start = learnt(history), _gap(history), guessing_loss(history)
    if not enough(history) or share is None or gap is None or start is None or at_chance(history):
        return False
    return share < LEARNT_WELL and abs(gap) < GAP


def _gap(history: History) -> float | None:
    """By which training is better than validation in the last epoch; None where they are not the same score."""
    last = history.epochs[-1] if history.epochs else None
    if last is None or last.train_score is None or last.val_score is None or history.task != "single":
        return None
    return last.train_score - last.val_score


def _error(history: History) -> float:
    return standard_error(best_val(history) or 0.5, history.val_images)


def _more_variety(history: History) -> str:
    """The augmentation that is one step stronger."""
    name = said(history, "aug.name")
    if name == "none":
        return "aug=upright" if said(history, "data.name") in ("glyphs", "mnist") else "aug=light"
    return "aug=strong" if name in ("light", "upright") else "loss.smoothing=0.1" if name else ""


def _wider(history: History) -> str:
    """Words for a larger network of the same kind, where it is one of ours."""
    widths, width = said(history, "model.widths"), said(history, "model.width")
    if isinstance(widths, list) and widths:
        wider = ",".join(str(max(16, 4 * each)) for each in widths)
        return f"model.widths=[{wider}]"
    return f"model.width={4 * width}" if isinstance(width, int) else "model=small_cnn"
