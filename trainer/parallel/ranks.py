"""What the processes of one run do together; of a process that trains alone, nothing."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from trainer.parallel.place import ONE, Place


class Ranks:
    """A process that trains alone: what several do together costs it nothing. `group.py` has the several.

    All processes take the same calls in the same order, but for `watched` and `in_turn`.
    """

    place: Place = ONE
    own_keys: tuple[int, ...] = ()
    """What tells its random draws from those of other ranks: nothing of the first's, which are a lone process's."""

    def learner(self, model: nn.Module) -> nn.Module:
        """What the steps of an epoch call in the place of the model, so that its gradients are those of all ranks."""
        return model

    def sum_after(self, learner: nn.Module, last: bool) -> None:
        """Said before each forward pass: gradients are averaged after the last backward pass of a step."""

    def mean(self, number: Tensor) -> Tensor:
        """Over the ranks. Stays on the device."""
        return number

    def totals(self, loss: Tensor, sums: list[Sequence[Tensor]]) -> tuple[Tensor, list[Sequence[Tensor]]]:
        """The mean of a step's loss, and the sums of what each of its batches was summed to. Stay on the device."""
        return loss, sums

    def shard(self, *models: nn.Module | None) -> None:
        """Leaves each process a part of their weights, if they are to be shared out: before an optimizer has them."""

    def all_of(self, finite: Tensor) -> bool:
        """Whether it is true on all ranks. Reads the device."""
        return bool(finite)

    def whole(self, logits: Tensor, count: int) -> Tensor:
        """The logits of a whole batch of this many images, of those for each rank's even share."""
        return logits

    def same(self, *models: nn.Module | None) -> None:
        """Gives all ranks the first one's weights and buffers, however long it has worked on them."""

    def from_first(self, value: Any) -> Any:
        """What the first rank has, whatever the others give; they wait for it as long as it takes."""
        return value

    def agreed(self, signal_number: int) -> int:
        """A signal that any rank has noted, or 0: the same on all, which it takes one call to know."""
        return signal_number

    @contextmanager
    def in_turn(self) -> Iterator[None]:
        """The first of each machine does it while the others wait, and then they do."""
        yield

    @contextmanager
    def watched(self, folder: Path | None = None) -> Iterator[None]:
        """Raises TrainerError if another process ends meanwhile; with the way to go on with the run in this folder."""
        yield


ALONE = Ranks()
