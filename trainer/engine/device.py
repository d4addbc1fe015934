"""The device, and the lines that only a GPU runs. Those lines are marked: no test of this project has a GPU."""

import os
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import TypeVar

import torch

from trainer.errors import ConfigError

Item = TypeVar("Item")
_AHEAD = 2
"""Items that are prepared at most before they are wanted."""


def choose_device(wanted: str) -> torch.device:
    """The device for auto | cpu | cuda | mps. Raises ConfigError if this machine has none of that kind."""
    available = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if wanted == "auto":
        return torch.device(next(kind for kind, there in available.items() if there))
    if not available[wanted]:
        raise ConfigError(f"device: this machine has no {wanted}. Use device=auto, which finds what there is.")
    return torch.device(wanted)


def make_repeatable(device: torch.device, *, deterministic: bool = True) -> None:
    """Same input, same bits, as far as torch has such a way; else the fastest ways that cuDNN finds by trying.

    Where torch has none it warns. On a CPU all that is used here is repeatable.
    """
    if device.type == "cuda":  # untested: needs a GPU
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # read with the first matrix product
        torch.use_deterministic_algorithms(deterministic, warn_only=True)
        # Else each new tensor costs a launch more; and nothing here reads one before it is written.
        torch._C._set_deterministic_fill_uninitialized_memory(False)
        torch.backends.cudnn.deterministic = deterministic
        torch.backends.cudnn.benchmark = not deterministic


def about_gpu(device: torch.device) -> dict[str, str]:
    """What the bits of a GPU depend on besides torch: which it is, and the versions of CUDA and cuDNN."""
    if device.type != "cuda":
        return {}
    return {
        "gpu": torch.cuda.get_device_name(device),
        "cuda": str(torch.version.cuda),
        "cudnn": str(torch.backends.cudnn.version()),  # type: ignore[no-untyped-call]
    }


def free_memory(device: torch.device) -> int:
    """Bytes that a CUDA device has left."""
    return torch.cuda.mem_get_info(device)[0]  # untested: needs a GPU


def ahead(items: Iterable[Item], device: torch.device, *, beside: bool = True) -> Iterator[Item]:
    """The same items; on CUDA a thread prepares them on a side stream while the model works on those before.

    beside: whether a thread may: not if items draw from torch's own generator, which the steps seed. An error is raised
    where its item would come. At the end, or when it is left, no thread remains.
    """
    if device.type != "cuda" or not beside:  # on a CPU a batch takes 1 % of a step (xresnet18 at 128 px: 31 images/s a
        yield from items  # core against 4,000; small_cnn at 28 px: 1,190 against 110,000), of cores that the model uses
        return
    # Untested from here on a GPU; tested on a model of its streams and memory.
    main, side, iterator = torch.cuda.current_stream(device), _side_stream(), iter(items)
    side.wait_stream(main)  # what items are made of is there

    def prepared() -> tuple[Item | None, torch.cuda.Event]:
        with torch.cuda.stream(side):
            return next(iterator, None), side.record_event()

    item, there = prepared()  # here: processes that decode are begun where signals arrive, and while nothing else runs
    thread = ThreadPoolExecutor(1, "batches")
    try:
        coming = deque(thread.submit(prepared) for _ in range(_AHEAD))
        while item is not None:
            main.wait_event(there)
            for tensor in vars(item).values():
                if getattr(tensor, "is_cuda", False):  # else its memory might be given to a later item once it is
                    tensor.record_stream(main)  # dropped, before the steps that read it are done
            yield item
            item, there = coming.popleft().result()
            coming.append(thread.submit(prepared))
    finally:
        thread.shutdown(cancel_futures=True)


@cache
def _side_stream() -> torch.cuda.Stream:
    """The one stream beside the model's: memory that was taken for a stream serves no other when it is freed."""
    return torch.cuda.Stream()  # type: ignore[no-untyped-call]
