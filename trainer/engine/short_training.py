"""A run in small: all that a training goes through, from its first rate to its last, in few steps."""

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any

from torch import nn

from trainer.engine.batch import Batch, Batches, steps_per_epoch
from trainer.engine.evaluate import evaluate
from trainer.engine.health import alarm, is_far_off
from trainer.engine.interrupt import Interrupt
from trainer.engine.loop import Recipe, train_epoch
from trainer.engine.metrics import Evaluation
from trainer.engine.state import State

_FEWEST_IMAGES = 200
"""That are validated on; else as many as were trained on, so that the scores cost less than the steps."""

_FASTEST = 0.5
"""The share of the last batch in the figures of batch norm, at most: one batch alone is noisy."""


@dataclass(frozen=True)
class Excerpt:
    """The first steps of some epochs of a run, which lie evenly over all of them."""

    whole: Batches
    epochs: Sequence[int]
    steps: int
    """Of each epoch."""

    @property
    def per_step(self) -> Sequence[int]:
        return self.whole.per_step[: self.steps]

    @property
    def beside(self) -> bool:
        return self.whole.beside

    def epoch(self, epoch: int, start: int = 0) -> Iterator[Batch]:
        return islice(self.whole.epoch(self.epochs[epoch], start), sum(self.per_step) - start)


def excerpt(batches: Batches, epochs: int, steps: int) -> Excerpt:
    """As many steps as are asked for, or a little fewer: of each epoch the same number. epochs: of the run."""
    of_each = -(-steps // epochs)
    count = steps // of_each
    return Excerpt(batches, [number * epochs // count for number in range(count)], of_each)


@dataclass(frozen=True)
class Rehearsal:
    """Tries a run out, one short training after the other, each from where the state stands now; it is used up.

    validation: so many validation images, or all if there are fewer.
    """

    state: State
    batches: Batches
    validation: Callable[[int], Iterable[Batch]]
    recipe: Recipe
    epochs: int
    fresh: dict[str, Any]
    """What the state is put back to."""

    @classmethod
    def of(
        cls, state: State, batches: Batches, validation: Callable[[int], Iterable[Batch]], recipe: Recipe, epochs: int
    ) -> "Rehearsal":
        return cls(state, batches, validation, recipe, epochs, deepcopy(state.state_dict()))

    @property
    def total_steps(self) -> int:
        """Of the run."""
        return self.epochs * steps_per_epoch(self.batches)

    @property
    def base_rate(self) -> float:
        """optim.lr: the rate of the last stage, which the schedule multiplies."""
        return float(max(group["initial_lr"] for group in self.state.optimizer.param_groups))

    def reached(self, rate: float, steps: int, interrupt: Interrupt) -> Evaluation | None:
        """What about so many steps at this base rate come to; None if they diverge. 0 steps: what the state is now.

        The schedule, what is frozen when, and the shares of the run over which weights and the figures of batch norm
        are averaged are the run's. The steps take the first images of its epochs.
        """
        self.state.load_state_dict(self.fresh)
        images = self._train(rate, excerpt(self.batches, self.epochs, steps), interrupt) if steps else 0
        if alarm(self.state) is not None or is_far_off(self.state):
            return None
        seen = interrupt.watch(self.validation(max(images, _FEWEST_IMAGES)))
        found = evaluate(self.state.selected_model, seen, self.recipe.criterion, self.recipe.precision)
        return found if math.isfinite(found.loss) else None

    def _train(self, rate: float, part: Excerpt, interrupt: Interrupt) -> int:
        """Gives the number of images that were trained on. Ends early where it has diverged."""
        share, pace = rate / self.base_rate, self.total_steps / (len(part.epochs) * part.steps)
        recipe = replace(
            self.recipe,
            schedule=lambda step: share * self.recipe.schedule(int((step + 0.5) * pace)),  # the middle of its stretch
            begin_epoch=lambda model, epoch: self.recipe.begin_epoch(model, part.epochs[epoch]),
            ema=self.recipe.ema**pace,
        )
        images = 0
        with _averaging_faster(self.state.model, pace):
            while self.state.epoch < len(part.epochs) and alarm(self.state) is None:
                images += sum(train_epoch(self.state, part, recipe, interrupt))
                self.state.epoch += 1
        return images


@contextmanager
def _averaging_faster(model: nn.Module, pace: float) -> Iterator[None]:
    """Lets batch norms average their figures over fewer batches, so that they have forgotten the random start."""
    norms = [each for each in model.modules() if isinstance(each, nn.modules.batchnorm._NormBase)]
    momenta = [norm.momentum for norm in norms]
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum and max(momentum, min(_FASTEST, momentum * pace))
    try:
        yield
    finally:
        for norm, momentum in zip(norms, momenta, strict=True):
            norm.momentum = momentum
