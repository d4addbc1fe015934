"""How the steps went, in numbers: noted on the device after each step, and counted on the CPU now and then."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, islice

import torch
from torch import Tensor

from trainer.engine.metrics import NUM_SUMS

PATIENCE = 20
"""Steps in a row. So many halvings take GradScaler from its first scale, 65,536, to 1/16: no overflow lasts longer."""
FAR = 10.0
"""Times the first loss at which a loss is far off."""
MOST_NOTED = 256
"""Steps that are noted before they are counted, though nobody asks: of one batch each, they take 1 MiB of a GPU."""


@dataclass(frozen=True)
class Noted:
    """A step, in numbers that lie on the device: kept as they are, since what is worked out there costs launches."""

    loss: Tensor
    norm: Tensor
    """Of the gradient."""
    both: Tensor
    """The sum of the two, which is finite where both are."""
    sums: Sequence[Sequence[Tensor]]
    """Of each of its batches, as metrics.sums_of has them."""


@dataclass(frozen=True)
class Course:
    """What steps have come to, on the CPU. Each is told of in State."""

    sums: Tensor
    streaks: Tensor
    begun: Tensor
    start_loss: Tensor
    skipped_steps: Tensor


def counted(before: Course, steps: Sequence[Noted], *, leaves_out: bool) -> Course:
    """The course after these steps too. Reads the device, once.

    leaves_out: whether a scaler leaves out steps that are not finite. Whatever does, they do not count in the sums.
    """
    numbers = _numbers(steps)
    sums, (bad, far), begun = before.sums.tolist(), before.streaks.tolist(), before.begun.tolist()
    start_loss, skipped_steps = before.start_loss, int(before.skipped_steps)
    bound = _bound(start_loss)
    for step in steps:
        loss, norm, both = islice(numbers, 3)
        batches = [list(islice(numbers, NUM_SUMS)) for _ in step.sums]
        finite = math.isfinite(both)
        for batch in batches if finite else ():
            sums = [total + number for total, number in zip(sums, batch, strict=True)]
        if start_loss <= 0:
            start_loss = torch.full_like(start_loss, loss if math.isfinite(loss) else 0.0)
            bound = _bound(start_loss)
        # What lasts for PATIENCE steps never ends: what is found must not depend on when it is looked for.
        bad = bad + 1 if not finite or bad >= PATIENCE else 0
        far = far + 1 if loss > bound or far >= PATIENCE else 0
        begun = [[loss, norm] if streak == 1 else known for streak, known in zip((bad, far), begun, strict=True)]
        skipped_steps += leaves_out and not finite
    return Course(
        before.sums.new_tensor(sums),
        before.streaks.new_tensor([bad, far]),
        before.begun.new_tensor(begun),
        start_loss,
        before.skipped_steps.new_tensor(skipped_steps),
    )


def _numbers(steps: Sequence[Noted]) -> Iterator[float]:
    there = [number for step in steps for number in (step.loss, step.norm, step.both, *chain.from_iterable(step.sums))]
    return iter(torch.stack(there).tolist())


def _bound(start_loss: Tensor) -> float:
    """Above which a loss is far off.

    A healthy run leaps this high in a bad batch, or for some steps at a bold rate, and comes down; so it must stay up
    for PATIENCE steps. The measure is the first loss, which knows the scale of any loss and number of classes, not
    the best, which may be near zero; and 1 where a trained model begins near zero.
    """
    return float(FAR * start_loss.clamp(min=1.0))
