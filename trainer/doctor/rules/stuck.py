"""Rules on runs that learn nothing."""

from trainer.doctor.finding import Finding
from trainer.doctor.history import History
from trainer.doctor.reading import (
    at_chance,
    best_val,
    chance,
    enough,
    first_loss,
    guessing_loss,
    held,
    last_with,
    learnt,
    said,
    train_losses,
)

FAR_OFF = 1.5
"""Times ln(classes): a first loss of one who is sure, and wrong."""
ONE_ANSWER = 0.98
"""Of the validation images: one answer to all, but for a few."""

STANDS = 5
"""Epochs in which a loss that can fall has fallen."""
STILL = 0.97
"""Of the first epoch's loss: one that never came below it has not fallen."""
WELL = 0.8
"""A validation score of weights that had learnt before the first epoch ended."""


def diverged(history: History) -> Finding | None:
    """X3: not even the first loss is a number: not the rate, but weights, pictures or precision are at fault."""
    if history.status != "diverged" or any(step.loss is not None for step in history.steps) or train_losses(history):
        return None
    is_half = history.about.get("precision") == "fp16"
    other_init = said(history, "init.name") not in (None, "keep")
    return Finding(
        rule="diverged",
        severity="fault",
        what="The loss was no number before anything was learnt: weights or pictures are too large, or broken.",
        evidence=(history.error or "").split(". ")[0].rstrip(".") or "the run ended so",
        confidence=0.5,
        words="precision=fp32" if is_half else "init=keep" if other_init else "",
        advice="See what each layer gives out before training: python -m trainer inspect.",
        practice="X3",
    )


def first_loss_far_off(history: History) -> Finding | None:
    """X2: before any learning the loss should be near ln(classes)."""
    first, expected = first_loss(history), guessing_loss(history)
    if first is None or expected is None or first < FAR_OFF * expected + 0.5:
        return None
    recovered = (learnt(history) or 0.0) > 0.5
    other_init = said(history, "init.name") not in (None, "keep")
    words = "init=keep" if other_init else "model.head_init=zero" if said(history, "model.head_init") else ""
    return Finding(
        rule="first_loss_far_off",
        severity="note" if recovered else "fault",
        what="The first loss is far above that of one who knows nothing: weights or pictures start too large.",
        evidence=f"first loss {first:.3g}, ln({len(history.classes)} classes) is {expected:.3g}",
        confidence=0.85,
        words=words,
        practice="X2",
    )


def zero_init(history: History) -> Finding | None:
    """I1: where every unit starts at zero all get the same gradient, or none."""
    if said(history, "init.name") != "zeros" or not _stuck(history):
        return None
    return Finding(
        rule="zero_init",
        severity="fault",
        what="All weights start at zero: every unit is like every other, and stays so.",
        evidence=f"init=zeros; the loss stays at {_last_loss(history)}",
        confidence=0.97,
        words="init=he_normal",
        practice="I1",
    )


def nothing_learns(history: History) -> Finding | None:
    """T3: no weight of the body, or of all, was ever changed."""
    told = [[*epoch.vitals.updates.values()] for epoch in history.epochs if epoch.vitals.updates]
    is_fitted = said(history, "finetune.name") in ("probe", "probe_first")
    if not enough(history) or is_fitted or any(ratio for ratios in told for ratio in ratios[:-1]):
        return None
    all_frozen = not any(ratios[-1] for ratios in told)
    if not told or len(told[0]) < 2 or (not all_frozen and not _stuck(history) and (held(history) or 0.0) > 0.7):
        return None
    return Finding(
        rule="nothing_learns",
        severity="fault",
        what="Nothing learns: no weight is changed." if all_frozen else "The body is frozen: only the head learns.",
        evidence=f"the last steps of {len(told)} epochs changed no stage" + ("" if all_frozen else " but the last"),
        confidence=0.9,
        words="finetune=none" if said(history, "finetune.name") not in (None, "none") else "optim=adamw",
        practice="T3",
    )


def stuck_at_chance(history: History) -> Finding | None:
    """X6: accuracy at chance for epochs. Look at scaling, colour, denoising, rate."""
    luck = chance(history)
    if luck is None:
        return _stands_still(history)
    if not at_chance(history):
        return None
    return Finding(
        rule="stuck_at_chance",
        severity="fault",
        what="The run is stuck at chance: it has learnt nothing of the pictures.",
        evidence=f"after {len(history.epochs)} epochs the loss is {_last_loss(history)}; always giving one answer is "
        f"right in {luck:.1%}",
        confidence=0.5,
        advice="See whether it can learn a handful of images at all: limit_train=16 aug=none.",
        practice="X6, X1",
    )


def collapsed(history: History) -> Finding | None:
    """X6: one answer to every picture."""
    last, luck = last_with(history, lambda epoch: epoch.vitals.commonest), chance(history)
    if not enough(history) or last is None or luck is None or (last.vitals.commonest or 0.0) < ONE_ANSWER:
        return None
    if luck > 0.9:  # then one answer is nearly right
        return None
    return Finding(
        rule="collapsed",
        severity="fault",
        what="It gives one answer to every validation image.",
        evidence=f"{last.vitals.commonest:.1%} of the validation images get the same answer in epoch {last.number}; "
        f"at best {best_val(history) or 0.0:.1%} are right",
        confidence=0.6,
        advice="See whether it can learn a handful of images at all: limit_train=16 aug=none.",
        practice="X6",
    )


def _stands_still(history: History) -> Finding | None:
    """Of another tool's run, whose chance is not known: the loss never left where it began, and few are right."""
    losses, best = train_losses(history), best_val(history)
    if history.config or len(losses) < STANDS or min(losses) < STILL * losses[0] or (best or 0.0) > WELL:
        return None
    fell = f"training loss {losses[0]:.4g} in the first epoch, {min(losses):.4g} at best of {len(losses)}"
    return Finding(
        rule="stuck_at_chance",
        severity="fault",
        what="The training loss stands where it began: nothing is learnt.",
        evidence=fell + (f", validation at best {best:.1%}" if best is not None else ""),
        confidence=0.5,
        advice="See whether it can learn a handful of images at all; classes=N says how many there are, "
        "by which chance is known.",
        practice="X6, X1",
    )


def _stuck(history: History) -> bool:
    """At chance, or as good as."""
    return at_chance(history) or (enough(history) and (learnt(history) or 0.0) < 0.1)


def _last_loss(history: History) -> str:
    losses, guess = train_losses(history), guessing_loss(history)
    told = f"{losses[-1]:.4g}" if losses else "?"
    return f"{told}, and ln({len(history.classes)} classes) is {guess:.4g}" if guess else told
