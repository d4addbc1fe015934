"""Rules on the labels: wrong, unrelated, missing, uneven."""

from collections.abc import Sequence
from math import log
from statistics import mean, median

from trainer.doctor.finding import Finding
from trainer.doctor.history import Epoch, History
from trainer.doctor.reading import (
    at_chance,
    best_val,
    chance,
    enough,
    has_batch_norm,
    held,
    is_small,
    last_with,
    learnt,
    may_be_chance,
    num_classes,
    rate,
    said,
    standard_error,
    usual_rate,
)

BY_HEART = 0.4
"""Of the way from chance to 1, in training: so far comes nobody who learns nothing, if only by heart."""
LEAST_IMAGES = 40
"""Of validation, by which what is worth nothing is told from what is worth a little."""
ABOVE_TRAINING = 0.12
"""By which validation is above training where training's own labels are wrong."""
DROP = 0.06
"""By which validation falls from its best once wrong labels are learnt by heart."""
UNSURE = 0.93
"""Share of the loss of one who is equally sure of all answers, and right as often. A weak model knows its easy ones,
with 0.7 to 0.9 of it; one that was taught labels that are wrong by lot is unsure of all alike."""
EVEN = 1.6
"""Variance over mean of the wrong answers' counts: 1 where they fall by lot, far more where some pairs are alike."""
UNEVEN = 5.0
"""Times as many images of the commonest class as of the rarest."""
LEAST_RECALL = 0.4
"""Of the other classes on average: below it the run as a whole is at fault."""
LEAST_SUPPORT = 5
"""Validation images of a class where their number is not told."""
LUCK = 0.05
"""How likely it is at most that bad luck alone loses a class."""
LEAST_TO_FALL = 6
"""Epochs in which a peak and a fall can be told from chance."""
_MOST_NAMED = 3


def labels_unrelated(history: History) -> Finding | None:
    """X6, X4: validation stays at chance whatever training does: the labels have nothing to do with the pictures."""
    best = best_val(history)
    if not enough(history) or may_be_chance(history, best, history.val_images) is not True:
        return None
    share, used, usual = learnt(history), rate(history), usual_rate(history)
    if share is None or best is None or (history.val_images or LEAST_IMAGES) < LEAST_IMAGES:
        return None
    may_fit = has_batch_norm(history) and not is_small(history)
    if (at_chance(history) and not may_fit) or (
        share < BY_HEART and is_small(history)
    ):  # then the network may be at fault as well
        return None
    is_usual = not used or not usual or usual / 10 <= used <= usual * 10
    if share < BY_HEART and not (is_usual and history.epochs and len(history.epochs) >= 5):
        return None
    came = f"training came {max(0.0, share):.0%} of the way from chance to 1"
    return Finding(
        rule="labels_unrelated",
        severity="fault",
        what="What is learnt in training is worth nothing in validation: the labels may not belong to the pictures.",
        evidence=f"{came}, validation is right in {best:.1%} at best, and chance is {chance(history) or 0.0:.1%}",
        confidence=0.75 if share >= BY_HEART else 0.45,
        advice="Look at pictures with their labels: python -m trainer preview. In a table, see whether its rows were "
        "sorted apart from its files.",
        practice="X6",
    )


def wrong_labels(history: History) -> Finding | None:
    """A11: a share of the labels is wrong: training cannot learn them, or learns them by heart."""
    share, best = learnt(history), best_val(history)
    if not enough(history) or share is None or best is None or at_chance(history):
        return None
    evidence = _above_training(history) or _by_heart(history) or _even_mistakes(history)
    if not evidence:
        return None
    return Finding(
        rule="wrong_labels",
        severity="warning",
        what="Some of the training labels look wrong.",
        evidence=evidence,
        confidence=0.7,
        words="loss.smoothing=0.2" if said(history, "loss.smoothing") == 0 else "",  # docs/experiments.md
        advice="Look at those that it would not give: python -m trainer evaluate RUN split=train lists them.",
        practice="A11",
    )


def class_missing(history: History) -> Finding | None:
    """C20: a class without training images."""
    counts = history.images_of_each
    absent = [name for name, count in zip(history.classes, counts, strict=False) if not count]
    if not absent or history.task != "single":
        return None
    return Finding(
        rule="class_missing",
        severity="fault",
        what=f"There are no training images of {_named(absent)}: what is shown of them is never answered rightly.",
        evidence=f"0 of {sum(counts):,} training images",
        confidence=0.98,
        advice="Add some, or leave the class out.",
        practice="C20",
    )


def class_never_predicted(history: History) -> Finding | None:
    """L4: a class that is never answered, while others are."""
    last = last_with(history, lambda epoch: epoch.vitals.recall)
    found = _lost(history, last)
    if last is None or not found or not enough(history) or at_chance(history):
        return None
    counts = history.images_of_each
    told = [f"{history.classes[place]}: {counts[place]:,} training images" for place in found if counts]
    return Finding(
        rule="class_never_predicted",
        severity="fault" if len(found) * 2 > len(history.classes) else "warning",
        what=f"Never recognised: {_named([history.classes[place] for place in found])}.",
        evidence="; ".join(told[:_MOST_NAMED]) or f"none of its validation images in epoch {last.number}",
        confidence=0.8,
        words="loss.class_weights=balanced" if said(history, "loss.class_weights") == "none" else "",
        advice="Look at its training images: are there enough, and are they labelled so?",
        practice="L4",
    )


def uneven_classes(history: History) -> Finding | None:
    """L4: the rare classes are given up for the common ones."""
    counts, last = history.images_of_each, last_with(history, lambda epoch: epoch.vitals.recall)
    if last is None or len(counts) < 2 or min(counts) == 0 or max(counts) < UNEVEN * min(counts) or not enough(history):
        return None
    recall = dict(enumerate(last.vitals.recall))
    rare = [recall.get(place) for place, count in enumerate(counts) if count * UNEVEN <= max(counts)]
    common = [recall.get(place) for place, count in enumerate(counts) if count * 2 > max(counts)]
    found, kept = ([each for each in group if each is not None] for group in (rare, common))
    if not found or not kept or mean(found) > 0.6 * mean(kept):
        return None
    return Finding(
        rule="uneven_classes",
        severity="warning",
        what="The classes are uneven, and the rare ones are given up for the common ones.",
        evidence=f"{min(counts):,} to {max(counts):,} training images a class; {mean(found):.0%} of the rare ones are "
        f"recognised, {mean(kept):.0%} of the common ones",
        confidence=0.85,
        words="loss.class_weights=balanced" if said(history, "loss.class_weights") == "none" else "",
        advice="More images of the rare classes help most.",
        practice="L4",
    )


def _above_training(history: History) -> str:
    """Validation is right where training is not, though training has settled, and sees about the same pictures."""
    last = history.epochs[-1]
    before = history.epochs[-2].train_score
    if last.train_score is None or last.val_score is None or before is None or _is_hard_to_see(history):
        return ""
    margin = ABOVE_TRAINING + 2 * standard_error(last.val_score, history.val_images)
    settled = abs(last.train_score - before) < 0.03
    if (
        not settled
        or last.train_score > 0.9
        or not _is_unsure(history, last, 1.0)
        or last.val_score - last.train_score < margin
    ):
        return ""
    return f"training settles at {last.train_score:.1%}, while {last.val_score:.1%} of the validation images are right"


def _by_heart(history: History) -> str:
    """Validation was better before training had learnt the rest."""
    scored = [epoch for epoch in history.epochs if epoch.val_score is not None and epoch.train_score is not None]
    if len(scored) < LEAST_TO_FALL:
        return ""
    peak = max(scored, key=_val)
    last = median(_val(epoch) for epoch in scored[-3:])
    drop = _val(peak) - last
    rose = (scored[-1].train_score or 0.0) - (peak.train_score or 0.0)
    if drop < DROP + 2 * standard_error(last, history.val_images) or rose < 0.15:
        return ""
    return (
        f"validation was right in {_val(peak):.1%} in epoch {peak.number}, and in {last:.1%} at last; training went "
        f"from {peak.train_score or 0.0:.1%} to {scored[-1].train_score or 0.0:.1%}"
    )


def _even_mistakes(history: History) -> str:
    """Wrong answers fall on all classes alike: no pair of classes is alike, so it is the labels."""
    confusion: Sequence[Sequence[int]] = history.summary.get("confusion") or ()
    share, validated = learnt(history), held(history)
    if (
        len(confusion) < 3
        or share is None
        or validated is None
        or not 0.35 < share < 0.9
        or abs(share - validated) > 0.2
    ):
        return ""
    wrong = [count for label, row in enumerate(confusion) for answer, count in enumerate(row) if answer != label]
    average = mean(wrong)
    if sum(wrong) < 40 or average < 0.5:
        return ""
    dispersion = sum((count - average) ** 2 for count in wrong) / (len(wrong) - 1) / average
    if dispersion > EVEN or not _is_unsure(history, history.epochs[-1], UNSURE):
        return ""
    return (
        f"{sum(wrong):,} validation images are answered wrongly, and no pair of classes stands out among them "
        f"(variance over mean {dispersion:.2g}): so labels that are wrong by lot look"
    )


def _is_unsure(history: History, epoch: Epoch, least: float) -> bool:
    """Whether its validation loss is at least this share of that of one who is equally sure of all answers."""
    classes, right, loss = num_classes(history), epoch.val_score, epoch.val_loss
    if classes is None or right is None or loss is None or said(history, "loss.smoothing"):
        return False
    wrong = 1 - right
    entropy = -sum(share * log(share) for share in (right, wrong) if share > 0)
    return loss >= least * (entropy + wrong * log(max(1, classes - 1)))


def _is_hard_to_see(history: History) -> bool:
    """Whether training is harder than validation by what is done to its pictures or its units."""
    strong = any(said(history, f"aug.{option}") for option in ("mixup", "cutmix", "erase", "crop", "auto_strength"))
    drops = (said(history, "model.dropout") or 0) > 0.2 or (said(history, "model.stochastic_depth") or 0) > 0
    return strong or said(history, "aug.name") in ("strong", "tutorial") or drops


def _lost(history: History, last: Epoch | None) -> list[int]:
    """Classes of which none was recognised, at last and with the best weights, where that is no bad luck."""
    if last is None or len(last.vitals.recall) != len(history.classes):
        return []
    others = [recall for recall in last.vitals.recall if recall]
    if not others or mean(others) < LEAST_RECALL:
        return []
    per_class, found = history.summary.get("per_class") or {}, []
    for place, name in enumerate(history.classes):
        told = per_class.get(name) or {}
        by_luck = len(history.classes) * (1 - mean(others)) ** told.get("support", LEAST_SUPPORT)
        if last.vitals.recall[place] == 0 and not told.get("recall") and by_luck < LUCK:
            found.append(place)
    return found


def _val(epoch: Epoch) -> float:
    return epoch.val_score or 0.0


def _named(names: Sequence[str]) -> str:
    shown = ", ".join(f"“{name}”" for name in names[:_MOST_NAMED])
    return shown + (f" and {len(names) - _MOST_NAMED} more" if len(names) > _MOST_NAMED else "")
