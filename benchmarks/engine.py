"""The engine's training step beside a plain PyTorch loop: same model, batch, precision and optimizer."""

from collections.abc import Callable, Iterator, Sequence
from copy import deepcopy
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from benchmarks.rates import Ratio, in_turn
from trainer.engine.device import choose_device
from trainer.engine.interrupt import Interrupt
from trainer.engine.loop import Recipe, train_epoch
from trainer.engine.precision import choose_precision
from trainer.engine.state import State
from trainer.kernels.use import use_kernels
from trainer.optim.sgd import sgd
from trainer.registry import LOSSES, MODELS

STEPS, TURNS = 2, 6
"""Of each contestant: steps in a turn, and turns in a round."""
BATCH = 128


@dataclass(frozen=True)
class Pair:
    images: Tensor
    labels: Tensor

    @property
    def targets(self) -> Tensor:
        return self.labels

    @property
    def indices(self) -> Tensor:
        return torch.arange(len(self.labels))


class Resident:
    """One batch that is on the device already, as often as it takes."""

    beside = True

    def __init__(self, pair: Pair, length: int) -> None:
        self.pair = pair
        self.length = length

    @property
    def per_step(self) -> Sequence[int]:
        return [1] * self.length

    def epoch(self, epoch: int, start: int = 0) -> Iterator[Pair]:
        return (self.pair for _ in range(start, self.length))


def bare_loop(model: nn.Module, pair: Pair) -> Callable[[int], int]:
    """What one would write by hand: autocast, backward, step. Called with the number of steps, it tells the images."""
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9, nesterov=True, fused=True)
    precision = choose_precision("auto", pair.images.device)

    def run(steps: int) -> int:
        model.train()
        for _ in range(steps):
            with precision.autocast():
                logits = model(pair.images)
            loss = cross_entropy(logits.float(), pair.labels)
            loss.backward()
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        return steps * len(pair.labels)

    return run


def engine_over_bare(name: str, size: int, *, kernels: bool = False, device: str = "auto", rounds: int = 7) -> Ratio:
    """images/s of the engine over those of the bare loop, both fed with one resident batch.

    Of the same layers: what the loop itself costs. kernels: ours with the kernels that a run uses on a CPU.
    """
    place = choose_device(device)
    torch.manual_seed(0)
    model = MODELS.builder(name)(10, 3).to(place, memory_format=torch.channels_last)
    images = torch.randn(BATCH, 3, size, size, device=place).to(memory_format=torch.channels_last)
    pair = Pair(images, torch.randint(0, 10, (BATCH,), device=place))
    criterion = LOSSES.builder("cross_entropy")(pair.labels, [str(each) for each in range(10)])
    precision = choose_precision("auto", place)
    recipe = Recipe(criterion.to(place), lambda step: 1.0, precision)
    ours = deepcopy(model)
    if kernels:
        use_kernels(ours, precision.dtype)
    state = State.begin(ours, sgd(ours, lr=0.01), precision.scaler(), averaging=False)
    batches = Resident(pair, STEPS)

    def engine() -> int:
        state.step, state.epoch = 0, 0
        return sum(train_epoch(state, batches, recipe, Interrupt()))

    bare = bare_loop(model, pair)
    return in_turn(engine, lambda: bare(STEPS), rounds, TURNS)
