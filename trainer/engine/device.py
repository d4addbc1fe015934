"""The device, and every line that only a GPU runs. Those lines are marked: no test of this project has a GPU."""

from collections.abc import Iterable, Iterator
from functools import cache
from typing import TypeVar

import torch
from torch import Tensor

from trainer.errors import ConfigError

Item = TypeVar("Item")


def choose_device(wanted: str) -> torch.device:
    """The device for auto | cpu | cuda | mps. Raises ConfigError if this machine has none of that kind."""
    available = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if wanted == "auto":
        return torch.device(next(kind for kind, there in available.items() if there))
    if not available[wanted]:
        raise ConfigError(f"device: this machine has no {wanted}. Use device=auto, which finds what there is.")
    return torch.device(wanted)


def make_repeatable(device: torch.device) -> None:
    """Same input, same bits: cuDNN may only use deterministic algorithms. TF32 is allowed, since it is repeatable."""
    if device.type == "cuda":  # untested: needs a GPU
        torch.backends.cudnn.deterministic = True
        torch.backends.cudnn.benchmark = False
        torch.backends.cudnn.allow_tf32 = True
        torch.backends.cuda.matmul.allow_tf32 = True


def upload(tensor: Tensor, device: torch.device) -> Tensor:
    """The tensor on the device; on CUDA through pinned memory, so that the copy runs beside the computation."""
    if device.type == "cuda":  # untested: needs a GPU
        return tensor.pin_memory().to(device, non_blocking=True)
    return tensor.to(device)


def ahead(items: Iterable[Item], device: torch.device) -> Iterator[Item]:
    """The same items; on CUDA each is prepared on a side stream while the model works on the one before."""
    if device.type != "cuda":  # on a CPU a batch takes 1 % of a step (xresnet18 at 128 px: 31 images/s a core against
        yield from items  # 4,000; small_cnn at 28 px: 1,190 against 110,000), of cores that the model uses anyway
        return
    # Untested from here on a GPU; tested on a model of its streams and memory.
    main, side = torch.cuda.current_stream(device), _side_stream()  # within the block below, the current one is side
    iterator = iter(items)

    def prepared() -> Item | None:
        side.wait_stream(main)  # what was read in the steps so far may have been freed, and be overwritten from here on
        with torch.cuda.stream(side):
            return next(iterator, None)

    coming = prepared()
    while coming is not None:
        main.wait_stream(side)  # for this item alone: the next one is not begun yet
        item = coming
        coming = prepared()
        yield item


@cache
def _side_stream() -> torch.cuda.Stream:
    """The one stream beside the model's: memory that was taken for a stream serves no other when it is freed."""
    return torch.cuda.Stream()  # type: ignore[no-untyped-call]


def ran_out_of_memory(error: BaseException) -> bool:
    """Whether the error says that memory ran out. Torch has a class for that on CUDA only, and no word of its own."""
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    said = ("DefaultCPUAllocator", "backend out of memory")  # the CPU's and MPS's
    return isinstance(error, RuntimeError) and any(words in str(error) for words in said)
