"""Rules on the learning rate, the number that matters most."""

import itertools
from collections.abc import Mapping

from trainer.doctor.finding import Finding
from trainer.doctor.history import History
from trainer.doctor.reading import (
    at_chance,
    enough,
    falls,
    first_loss,
    guessing_loss,
    learnt,
    rate,
    rates,
    said,
    train_losses,
    update_ratio,
    usual_rate,
    val_losses,
)

FAR_FROM_USUAL = 10.0
"""Times the optimizer's default, up or down: bold and careful runs are within it."""
SPIKE = 1.5
"""Times the first loss: a mean of some steps that no healthy warm-up reaches."""
FITTED = 0.8
"""Of the way from chance to 1: a run that has come so far was not spoilt by its rate."""
FAR = 5.0
"""Times the first loss, in validation: batch norm keeps training near while the weights are thrown about."""
NEARLY_ALL = 0.97
"""Of the way from chance to 1: below it, a run far above the usual rate that was thrown about has lost by it."""
VIOLENT = 0.2
"""Update over weights: a step that moves the weights by a fifth forgets what was learnt before."""
IDLE = 2e-4
"""Update over weights: healthy runs peak at 1e-3 to 1e-1, and below this a thousand steps move little."""
HARDLY = 0.25
"""Share of its first epoch by which the loss of such a run falls at most."""
RISES = 0.05
"""Share by which it may end above its first epoch, for noise: a loss that rises further asks for no higher rate."""
STILL_RISING = 0.97
"""A rate that is highest so near the end has not turned."""
SETTLING = 0.1
"""Share of the steps, at the end, below which a rate that comes down brings no rest."""


def rate_too_high(history: History) -> Finding | None:
    """X3: the loss leaps above where it began, does not come back, or is no number any more."""
    start, evidence, confidence = first_loss(history) or guessing_loss(history), list[str](), 0.0
    used, usual = rate(history), usual_rate(history)
    factor = used / usual if used and usual else 1.0
    told = [step.loss for step in history.steps if step.loss is not None] or train_losses(history)
    diverged = history.status == "diverged" and bool(told)
    share, is_far = learnt(history) or 0.0, factor > FAR_FROM_USUAL
    if not diverged and (not enough(history) or share > (NEARLY_ALL if is_far else FITTED)):
        return None
    if diverged:
        evidence.append("the run diverged" + (f" after a first loss of {start:.3g}" if start else ""))
        confidence = 0.6
    peak = max(told, default=0.0)
    if start and peak > SPIKE * start:
        evidence.append(f"the loss rose from {start:.3g} to {peak:.3g}")
        confidence = max(confidence, 0.75)
    early = val_losses(history)[: len(history.epochs) // 2]
    if start and max(early, default=0.0) > FAR * start:
        evidence.append(f"the validation loss was {max(early):.3g} on the way")
        confidence = max(confidence, 0.7)
    ratio = update_ratio(history)
    if ratio is not None and ratio > VIOLENT:
        evidence.append(f"one step changed the weights by {ratio:.0%} of their size")
        confidence = max(confidence, 0.7)
    if is_far and (confidence or share < FITTED):
        evidence.append(f"optim.lr is {factor:.3g} times what {said(history, 'optim.name')} has by default")
        confidence = 0.95 if confidence else 0.6
    if not confidence:
        return None
    lower = usual if usual and is_far else used / 10 if used else None
    return Finding(
        rule="rate_too_high",
        severity="fault" if share < FITTED else "warning",
        what="The learning rate is too high: steps overshoot, and undo what was learnt."
        if len(evidence) > 1 or not diverged
        else "The run diverged, most likely because its learning rate is too high.",
        evidence="; ".join(evidence),
        confidence=confidence,
        words=f"optim.lr={lower:.2g}" if lower else "",
        advice="" if lower else "Divide the rate by ten.",
        practice="X3",
    )


def rate_too_low(history: History) -> Finding | None:
    """X4: the loss falls steadily and hardly at all, though there is a gradient."""
    losses, used, usual, ratio = train_losses(history), rate(history), usual_rate(history), update_ratio(history)
    if not enough(history) or len(losses) < 2 or not -RISES < falls(losses) <= HARDLY:
        return None
    is_low = bool(used and usual and used < usual / FAR_FROM_USUAL)
    is_idle = ratio is not None and ratio < IDLE
    goes_down = sum(later < earlier for earlier, later in itertools.pairwise(losses))
    is_steady = goes_down >= 0.8 * (len(losses) - 1) and falls(losses) > 0
    if not (is_low or (is_idle and is_steady)):
        return None
    evidence = [f"over {len(losses)} epochs the loss went from {losses[0]:.3g} to {losses[-1]:.3g}"]
    if ratio is not None:
        evidence.append(f"a step changed the weights by {ratio:.1e} of their size at most")
    if is_low and used and usual:
        evidence.append(f"optim.lr is 1/{usual / used:.3g} of what {said(history, 'optim.name')} has by default")
    return Finding(
        rule="rate_too_low",
        severity="fault",
        what="The learning rate is too low: the loss falls, but hardly moves.",
        evidence="; ".join(evidence),
        confidence=0.9 if is_low and (is_idle or is_steady) else 0.7,
        words=f"optim.lr={usual if is_low and usual else (used or 0.0) * 10:.2g}" if used else "",
        advice="" if used else "Multiply the rate by ten.",
        practice="X4",
    )


def warmup_never_ends(history: History) -> Finding | None:
    """S2: the rate rises until the last steps, so that the run never settles."""
    over = rates(history)
    if history.status not in (None, "finished") or not _peaks_late(over) or _is_cut_short(history):
        return None
    peak = max(over, key=over.__getitem__)
    return Finding(
        rule="warmup_never_ends",
        severity="warning",
        what="The warm-up takes the whole run: the rate hardly comes down before the end, for the run to settle.",
        evidence=f"the rate rose from {over[min(over)]:.2g} to {over[peak]:.2g}, which it had when "
        f"{peak / max(over):.0%} of the run was done",
        confidence=0.95,
        words="sched.warmup=0.1" if said(history, "sched.warmup") is not None else "sched=one_cycle",
        practice="S2",
    )


def stopped_in_warmup(history: History) -> Finding | None:
    """S2, C16: a run that ends before its rate has peaked tells nothing of what it could learn."""
    over, planned = [*rates(history).values()], history.epochs_planned
    if not _rises(over) or not _is_cut_short(history) or history.status == "diverged":
        return None
    by_patience = history.status == "finished"
    return Finding(
        rule="stopped_in_warmup",
        severity="warning",
        what="The run ended within its warm-up: the rate was still rising, and its scores say little.",
        evidence=f"{len(history.epochs)} of {planned} epochs; the rate had risen from {over[0]:.2g} to {over[-1]:.2g}",
        confidence=0.9,
        words="early_stop=null" if by_patience else "",
        advice="" if by_patience else "Go on with it: resume=FOLDER.",
        practice="S2",
    )


def _rises(over: list[float]) -> bool:
    """Whether the rate is at its highest at the end, having come from well below."""
    peak = max(over, default=0.0)
    return len(over) >= 3 and over[-1] >= STILL_RISING * peak and over[0] < 0.5 * peak


def _peaks_late(over: Mapping[int, float]) -> bool:
    """Whether the rate is at its highest within the last steps, having come from well below. over: by the step."""
    if len(over) < 3:
        return False
    peak = max(over, key=over.__getitem__)
    return peak > (1 - SETTLING) * max(over) and over[min(over)] < 0.5 * over[peak]


def _is_cut_short(history: History) -> bool:
    return history.epochs_planned is not None and len(history.epochs) < history.epochs_planned


def both_flat(history: History) -> Finding | None:
    """X4: training and validation loss stand still, far from zero: the rate, or the batch, is too large to settle."""
    losses, start = train_losses(history), guessing_loss(history)
    if not enough(history) or len(losses) < 6 or at_chance(history) or start is None:
        return None
    half = losses[len(losses) // 2 :]
    spread = (max(half) - min(half)) / start
    share = learnt(history)
    if share is None or share > 0.5 or spread > 0.03 or min(half) < 0.3 * start:
        return None
    used = rate(history)
    return Finding(
        rule="both_flat",
        severity="warning",
        what="The loss stands still, far from zero.",
        evidence=f"training loss {half[0]:.3g} to {half[-1]:.3g} over the last {len(half)} epochs",
        confidence=0.4,
        words=f"optim.lr={used / 3:.2g}" if used else "",
        practice="X4",
    )
