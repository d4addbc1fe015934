"""What is said before the first step: what will not act, or not as one may think."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from trainer.data.groups import in_words
from trainer.data.listing import in_two_classes, in_two_parts
from trainer.data.source import Source
from trainer.engine.loop import Plan
from trainer.finetune.probing import Probing
from trainer.loss.class_weights import shown
from trainer.loss.criterion import Criterion
from trainer.task.task import Task

_FEW_STEPS = 5
_FINE = 100
"""Validation images of which one is a hundredth of the accuracy."""


def on_data(source: Source) -> tuple[str, ...]:
    """What was decided as the data were found, and which images lie where they should not."""
    return (*source.notes, *in_words(source), *in_two_parts(source), *in_two_classes(source))


def idle(options: Mapping[str, Any], source: Source) -> tuple[str, ...]:
    """A note on what a stack of augmentations holds and grey images cannot show; options: the stack's."""
    idle = [name for name in ("saturation", "hue", "greyscale") if source.channels == 1 and options.get(name)]
    return (f"aug.{', aug.'.join(idle)}: nothing to do on grey images",) if idle else ()


def rates(optimizer: torch.optim.Optimizer) -> tuple[str, ...]:
    """The stages' base rates in words, where they differ."""
    rates = sorted({group["initial_lr"] for group in optimizer.param_groups})
    return (f"learning rate: {rates[0]:.3g} in the stem, rising to {rates[-1]:.3g} in the head",) if rates[1:] else ()


def weights(criterion: Criterion, source: Source) -> tuple[str, ...]:
    """The class weights in words, where classes count differently."""
    weights = criterion.class_weights
    words = f"{criterion.task.weights_in_words}: {shown(weights, source.classes)}"
    return (words,) if (weights != 1).any() else ()


def beneath_the_fit(options: Mapping[str, Any], finetune: object) -> tuple[str, ...]:
    """A note where a probe leaves a layer of the head as it is; options: the model's."""
    units = options.get("hidden")
    if not units or not isinstance(finetune, Probing) or not finetune.alone:
        return ()
    return (
        f"model.hidden={units}: a probe fits the last layer alone; this one before it stays as the weights have it, "
        "or as it was drawn where they do not. Leave model.hidden out, or say finetune=probe_first.",
    )


def patience(plan: Plan) -> tuple[str, ...]:
    """A note where early_stop does not count from the first epoch on."""
    if plan.early_stop is None or not plan.rising_epochs:
        return ()
    rises = f"the learning rate rises until epoch {plan.rising_epochs} of {plan.epochs}"
    if plan.early_stop < plan.epochs - plan.rising_epochs:
        return (f"early_stop={plan.early_stop} counts from epoch {plan.rising_epochs + 1} on: {rises}.",)
    return (f"early_stop={plan.early_stop} cannot act: {rises}, and progress is counted after that.",)


def pace(steps: int) -> tuple[str, ...]:
    """A note where an epoch has hardly a step."""
    few = f"Only {steps} optimizer step{'s' * (steps > 1)} an epoch: a smaller batch_size or more epochs learn more."
    return (few,) if steps < _FEW_STEPS else ()


def resolution(labels: Tensor, task: Task) -> tuple[str, ...]:
    """A note where validation can score nothing, or so few images that the scores of its epochs come in large steps.

    labels: as Samples has them.
    """
    count = int(task.has_label(labels).sum())
    if not task.can_score(labels):
        what = "image with any of the labels" if count else "labelled image"
        return (f"Validation has no {what}: every epoch scores 0. Label some, or validate on another part.",)
    if count >= _FINE:
        return ()
    few = f"Validation has only {count} labelled image{'s' * (count > 1)}"
    is_share = task.right_in_words == task.score_in_words  # else no image has a share of its own in the score
    less = f", of which one is {100 / count:.3g} % of the {task.score_in_words}: smaller" if is_share else ": small"
    return (f"{few}{less} differences between epochs or runs say nothing. More images tell more.",)
