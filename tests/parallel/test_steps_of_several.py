"""Steps that several processes take together, beside the same steps of one."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from several import together
from small_loop import CPU, Deaf, Fixed, Pair, Plain, batches, begin, net, recipe
from torch import Tensor

from trainer.engine.interrupt import Interrupt
from trainer.engine.loop import Plan, fit
from trainer.parallel.group import joined
from trainer.parallel.place import Place
from trainer.parallel.ranks import ALONE, Ranks

WHOLE = Fixed(batches(6, size=7).pairs, per_step=[1, 2, 1, 2])
CLOSE = 2e-6
"""Eight steps of float32: some roundings of 2 ** -24, which grow a little as they are learnt from."""


class Share(Pair):
    """What a process has of a batch of seven."""

    @property
    def indices(self) -> Tensor:
        return torch.arange(7)


class Weighted(Plain):
    """Classes count differently, so that a process's part of the weight is not its part of the images."""

    def weights(self, targets: Tensor) -> Tensor:
        return torch.tensor([1.0, 2.0, 5.0])[targets]

    def losses(self, logits: Tensor, targets: Tensor) -> Tensor:
        return super().losses(logits, targets) * self.weights(targets)


def learnt(ranks: Ranks) -> Tensor:
    """Two epochs of four steps, of which two are made of two batches: weights, averages and all that is told."""
    place, told = ranks.place, Deaf()
    shares = [Share(pair.images[place.share(7)], pair.labels[place.share(7)]) for pair in WHOLE.pairs]
    answered = Fixed([Pair(pair.images[place.even_share(7)], pair.labels) for pair in WHOLE.pairs])
    state = begin(net(), averaging=True)
    how = replace(recipe(ema=0.9, clip_norm=0.5, ranks=ranks), criterion=Weighted())
    plan = Plan(2, log_every=1)
    fit(state, Fixed(shares, WHOLE.per_step), answered, how, plan, told, Interrupt(ranks))
    scores = [value for _, each in told.logs for value in (each.loss, each.score)]
    ends = [value for each in told.reports for value in (each.val.loss, each.val.score, each.images)]
    weights = [*state.model.parameters(), *state.averaged.parameters()]  # type: ignore[union-attr]
    return torch.cat([*(each.detach().flatten().double() for each in weights), torch.tensor(scores + ends).double()])


@pytest.mark.parametrize("size", [2, 4])
def test_several_processes_learn_and_tell_what_one_does(size: int, tmp_path: Path) -> None:
    def work(rank: int) -> None:
        with joined(Place(rank, size, rank, size), CPU) as ranks:
            right = learnt(ranks)
            ranks.mean = lambda number: number  # type: ignore[method-assign]  # divides by its own weight
            torch.save([right, learnt(ranks)], tmp_path / f"{rank}.pt")

    together(size, work, tmp_path)
    alone = learnt(ALONE)
    for rank in range(size):
        right, wrong = torch.load(tmp_path / f"{rank}.pt")
        torch.testing.assert_close(right, alone, rtol=CLOSE, atol=CLOSE)
        assert (wrong - alone).abs().max() > 1000 * CLOSE, "the control"
