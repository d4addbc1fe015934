"""What it costs to look at gradients, updates and activations: epochs of training and validation, with it and without.

python -m benchmarks.vitals

In seconds of a core: what is looked at waits for nothing.
"""

import time
from collections.abc import Callable
from copy import deepcopy
from typing import Any

import torch
from torch import nn

from benchmarks.engine import Pair, Resident
from benchmarks.rates import Ratio, in_turn
from trainer.engine.device import choose_device
from trainer.engine.interrupt import Interrupt
from trainer.engine.loop import Plan, Recipe, fit
from trainer.engine.memory import keep_freed_memory
from trainer.engine.precision import choose_precision
from trainer.engine.state import State
from trainer.kernels.use import use_kernels
from trainer.optim.adamw import adamw
from trainer.registry import LOSSES, MODELS

WORKS = (("small_cnn", 32), ("xresnet18", 64))
"""Model, and pixels of a side."""
STEPS, BATCH, VALIDATION = 50, 32, 10
"""Steps of an epoch, images of a step, and batches of its validation."""


class Silent:
    """An observer that keeps nothing."""

    def nothing(self, *_: Any, **__: Any) -> None: ...

    step = probed = logged = epoch = save = keep = nothing


def looking_over_not(name: str, size: int, *, device: str = "auto", rounds: int = 7) -> Ratio:
    """images/s of a first epoch with all that is looked at, its extra step lines included, over one without a look."""
    place = choose_device(device)
    torch.manual_seed(0)
    model = MODELS.builder(name)(10, 3).to(place, memory_format=torch.channels_last)
    images = torch.randn(BATCH, 3, size, size, device=place).to(memory_format=torch.channels_last)
    pair = Pair(images, torch.randint(0, 10, (BATCH,), device=place))
    look_every = -(-VALIDATION * BATCH // 32)
    looking, plain = _epoch(deepcopy(model), pair, look_every), _epoch(model, pair, 0)
    return in_turn(looking, plain, rounds, clock=time.process_time)


def _epoch(model: nn.Module, pair: Pair, look_every: int) -> Callable[[], int]:
    precision = choose_precision("auto", pair.images.device)
    if pair.images.device.type == "cpu":
        use_kernels(model, precision.dtype)
    criterion = LOSSES.builder("cross_entropy")(pair.labels, [str(each) for each in range(10)])
    recipe = Recipe(criterion.to(pair.images.device), lambda step: 1.0, precision)
    state = State.begin(model, adamw(model, lr=1e-4), precision.scaler(), averaging=False)
    plan = Plan(1, log_every=10, look_every=look_every)

    def run() -> int:
        state.step, state.epoch = 0, 0
        fit(state, Resident(pair, STEPS), [pair] * VALIDATION, recipe, plan, Silent(), Interrupt())
        return STEPS * BATCH

    return run


def main() -> None:
    keep_freed_memory()
    for name, size in WORKS:
        ratio = looking_over_not(name, size)
        spread = f"{ratio.median:.3f} ({ratio.least:.3f}, {ratio.greatest:.3f})"
        print(f"{name} at {size} px: {ratio.ours:,.0f} images/s of a core, {ratio.theirs:,.0f} without, ratio {spread}")


if __name__ == "__main__":
    main()
