"""What is wrong with a run, the gravest first; of a healthy one that it is, and what would most likely help next."""

from collections.abc import Iterable, Mapping

from trainer.doctor.finding import Finding, in_order
from trainer.doctor.history import History
from trainer.doctor.reading import best_val, enough, learnt, said, steps_taken
from trainer.doctor.rules import RULES

_NOT_LEARNT = (
    "stuck_at_chance", "collapsed", "class_never_predicted", "labels_unrelated", "underfit", "both_flat",
)  # fmt: skip
_WITHIN = ("dead_units", "activations_vanish", "activations_explode")
EXPLAINS: Mapping[str, tuple[str, ...]] = {
    "weights_destroyed": ("rate_too_high", "first_loss_far_off", "weights_statistics"),
    "zero_init": (
        *_NOT_LEARNT, *_WITHIN, "model_too_small", "rate_too_low", "rate_too_high", "nothing_learns",
        "mirrored_classes",
    ),
    "nothing_learns": (*_NOT_LEARNT, "rate_too_low", "model_too_small"),
    "unscaled_input": (
        *_NOT_LEARNT, *_WITHIN, "first_loss_far_off", "rate_too_high", "weights_statistics", "model_too_small",
    ),
    "first_loss_far_off": ("rate_too_high",),
    "rate_too_high": (
        "diverged", *_NOT_LEARNT, *_WITHIN, "both_rise", "model_too_small", "colour_taken_away", "wrong_labels",
        "other_distribution", "mirrored_classes", "overfit_by_loss", "sigmoid_in_depth",
    ),
    "rate_too_low": (*_NOT_LEARNT, "model_too_small", "colour_taken_away", "mirrored_classes", "still_learning"),
    "sigmoid_in_depth": (*_NOT_LEARNT, *_WITHIN, "rate_too_low", "model_too_small"),
    "warmup_never_ends": ("both_flat", "still_learning"),
    "stopped_in_warmup": ("underfit", "still_learning", "rate_too_low"),
    "dead_units": _NOT_LEARNT,
    "activations_vanish": (*_NOT_LEARNT, "dead_units"),
    "activations_explode": _NOT_LEARNT,
    "class_missing": ("class_never_predicted", "uneven_classes", "overfit"),
    "uneven_classes": ("class_never_predicted", "collapsed"),
    "mirrored_classes": ("labels_unrelated", "stuck_at_chance", "underfit", "model_too_small", "wrong_labels"),
    "colour_taken_away": ("labels_unrelated", "stuck_at_chance", "underfit", "model_too_small", "wrong_labels"),
    "labels_unrelated": (
        "stuck_at_chance", "collapsed", "overfit", "overfit_by_loss", "underfit", "wrong_labels", "both_flat",
    ),
    "other_distribution": (
        "overfit", "overfit_by_loss", "labels_unrelated", "collapsed", "class_never_predicted", "wrong_labels",
        "flattering_validation",
    ),
    "tiny_batches": ("underfit",),
    "wrong_labels": ("overfit", "overfit_by_loss", "underfit", "model_too_small", "easier_validation"),
    "training_flat": ("both_flat", "underfit"),
    "overfit": ("overfit_by_loss",),
    "model_too_small": (
        "stuck_at_chance", "collapsed", "class_never_predicted", "underfit", "both_flat", "still_learning",
    ),
    "still_learning": ("underfit",),
    "collapsed": ("class_never_predicted",),
}  # fmt: skip
"""The graver cause -> what it explains, which is then not told. What that would explain in turn is not told either."""

WELL = 0.5
"""Of the way from chance to 1, in training: below it a run without a fault is not called healthy."""
LEARNT_WELL = 0.9
"""X5: below it training comes first."""
ALMOST_ALL = 0.995
"""Of the validation images: other pictures than these tell more than a better score."""
BETTER = 0.05
"""By which training is better than validation where more pictures, or more varied ones, help first."""
FEW = 5_000
"""Training images, with which weights trained on others are worth most."""
TOO_FEW = 500
"""Training images below which a body learns these alone by heart: conf/preset.yaml's few.below."""
TOLD = 3
"""Findings that are printed; the page has all."""


def diagnose(history: History) -> list[Finding]:
    """All that is to be said of the run, the gravest first. There is always something."""
    found = {finding.rule: finding for rule in RULES if (finding := rule(history)) is not None}
    for rule in _explained(found):
        found.pop(rule, None)
    findings = in_order([*found.values()])
    if any(finding.severity != "note" for finding in findings):
        return findings
    if history.summary.get("probe"):
        return [_fitted(history), *findings]
    if not enough(history):
        return [_too_little(history), *(each for each in findings if each.rule != "still_learning")]  # any run may
    return [_healthy(history, findings), *findings]


def _explained(found: Iterable[str]) -> set[str]:
    """The rules that others which were found explain, over any number of steps."""
    reached: set[str] = set()
    ways = [other for rule in found for other in EXPLAINS.get(rule, ())]
    while ways:
        rule = ways.pop()
        if rule not in reached:
            reached.add(rule)
            ways += EXPLAINS.get(rule, ())
    return reached


def _too_little(history: History) -> Finding:
    epochs, steps = len(history.epochs), steps_taken(history)
    planned = history.epochs_planned or epochs
    taken = f"{epochs} epoch{'s' * (epochs != 1)}" + (f", {steps:,} steps" if steps else "")
    return Finding(
        rule="too_little_evidence",
        severity="note",
        what="The run is too short to tell whether it is well: so far any run may look like this.",
        evidence=taken,
        confidence=1.0,
        words=f"epochs={max(10, 2 * planned)}" if history.config else "",
        advice="" if history.config else "Train longer.",
        practice="X5",
    )


def _fitted(history: History) -> Finding:
    """Of a run that is one fit: no curve tells how it went."""
    is_few = history.train_images is not None and history.train_images < TOO_FEW
    return Finding(
        rule="fitted_at_once",
        severity="note",
        what="The last layer was fitted at once: there are no curves to judge."
        + (
            " What helps most is more pictures: so few teach a body little."
            if is_few
            else " Next: let the body learn, too."
        ),
        evidence=f"validation {best_val(history) or 0.0:.1%}"
        + (f"; {history.train_images:,} training images" if history.train_images else ""),
        confidence=1.0,
        words="" if is_few else "finetune=probe_first epochs=5",
        practice="T3",
    )


def _healthy(history: History, notes: list[Finding]) -> Finding:
    """That nothing is wrong, as far as is known, and what would most likely help next."""
    share, best = learnt(history), best_val(history)
    words, advice = ("", "") if any(note.words for note in notes) else _next(history)
    figures = [f"best validation score {best:.1%}"] if best is not None else []
    figures += [f"training came {share:.0%} of the way from chance"] if share is not None else []
    is_well = (share or 0.0) > WELL
    what = "The run looks healthy." if is_well else "Nothing in its records points to a fault."
    return Finding(
        rule="healthy",
        severity="note",
        what=what + (f" Next: {advice}" if advice else ""),
        evidence="; ".join(figures) or f"{len(history.epochs)} epochs",
        confidence=1.0,
        words=words,
        practice="X4",
    )


def _next(history: History) -> tuple[str, str]:
    """Words to try next, and why."""
    share, best, last = learnt(history), best_val(history) or 0.0, history.epochs[-1]
    longer = f"epochs={2 * (history.epochs_planned or len(history.epochs))}"
    if best > ALMOST_ALL:
        return "", "it is right nearly always; measure it on pictures from elsewhere before relying on it."
    if not history.config:
        return "", "more training images, or a longer run."
    if share is None:
        return longer, "a longer run, or more training images."
    if (last.train_score or 0.0) - (last.val_score or 0.0) > BETTER:
        if said(history, "aug.name") == "none":
            return "aug=light", "variety, since it is better on the images that it has learnt from than on others."
        smooth = "loss.smoothing=0.1" if said(history, "loss.smoothing") == 0 else ""
        return smooth, "more training images help most; it is better on those that it has learnt from than on others."
    if share < LEARNT_WELL:
        return longer, "more epochs, since training itself can still learn."
    if not said(history, "model.weights") and (history.train_images or 0) < FEW:
        return "", "trained weights (model.weights), since there are few images; or more of them."
    return longer, "a longer run, or larger images (data.size)."
