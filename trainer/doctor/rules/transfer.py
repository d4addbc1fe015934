"""Rules on runs that begin from trained weights."""

from typing import Any

from trainer.doctor.finding import Finding
from trainer.doctor.history import History
from trainer.doctor.reading import first_loss, guessing_loss, learnt, rate, said, shown, train_losses, usual_rate

LEAP = 1.5
"""Times ln(classes): above it the first steps have undone what the weights knew."""
GENTLE = 10.0
"""By which a rate for trained weights is lower than for fresh ones."""
SHIFT = 0.6
STRETCH = 1.6
"""How far mean (in standard deviations) and std (as a factor) may lie from what the weights were trained with:
the figures of two sets of photographs do."""


def weights_destroyed(history: History) -> Finding | None:
    """T4: the loss leaps far above ln(classes) in the first steps: what the weights knew is gone."""
    start, weights = guessing_loss(history), said(history, "model.weights")
    losses = [step.loss for step in history.steps[1:] if step.loss is not None] or train_losses(history)
    least = LEAP * max(start or 0.0, first_loss(history) or 0.0)
    if not weights or start is None or max(losses, default=0.0) < least or (learnt(history) or 0.0) > 0.9:
        return None
    used, usual = rate(history), usual_rate(history)
    lower = min(each / GENTLE for each in (used, usual) if each) if used else None
    return Finding(
        rule="weights_destroyed",
        severity="fault",
        what="The trained weights were destroyed in the first steps: the rate is too high for them.",
        evidence=f"the loss rose to {max(losses):.3g}; one who knows nothing has {start:.3g}",
        confidence=0.85,
        words=f"optim.lr={lower:.2g}" if lower else "finetune=probe_first",
        advice="finetune=probe_first fits the head before any step, so that it does not disturb the body.",
        practice="T4",
    )


def weights_statistics(history: History) -> Finding | None:
    """X8, C18: trained weights are given pictures of other figures than those that they were trained with."""
    expected: Any = history.about.get("weights_expect") or {}
    seen: Any = history.about.get("preprocessing") or {}
    figures = [each.get(key) for each in (expected, seen) for key in ("mean", "std")]
    if not all(isinstance(each, list) and each and isinstance(each[0], float | int) for each in figures):
        return None
    wanted = list(zip(*figures[:2], strict=False))
    given = list(zip(*figures[2:], strict=False))
    shift = max(abs(mean - other) / std for (mean, std), (other, _) in zip(wanted, given, strict=False))
    stretch = max(max(std / other, other / std) for (_, std), (_, other) in zip(wanted, given, strict=False))
    if shift < SHIFT and stretch < STRETCH:
        return None
    return Finding(
        rule="weights_statistics",
        severity="warning",
        what="The trained weights see pictures of other figures than those that they were trained with.",
        evidence=f"mean {shown(figures[2])}, std {shown(figures[3])}; they expect {shown(figures[0])} and "
        f"{shown(figures[1])}",
        confidence=0.9,
        words="data.normalise=auto data.mean=null data.std=null",
        practice="X8",
    )
