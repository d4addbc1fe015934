"""Whether there are numbers for a kernel to read: what traces, emulates or batches a model hands over none."""

import torch
from torch import Tensor, nn

_PLAIN = (Tensor, nn.Parameter)


def are_plain(*tensors: Tensor | None) -> bool:
    """Whether all of them are tensors of a CPU, and nobody looks on: no compiler, tracer, mode of torch's or vmap.

    Whoever looks on sees what torch does, and would see nothing of what a kernel does. A FakeTensor has no memory at
    all, and a tensor within vmap is not the whole of it.
    """
    return not _watched() and all(type(each) in _PLAIN and each.device.type == "cpu" for each in tensors)  # type: ignore[union-attr]


def _watched() -> bool:
    return (
        torch.compiler.is_compiling()  # first: torch's compiler takes this one apart, and none of the others
        or torch._C._get_tracing_state() is not None  # torch has no public names for these three
        or torch._C._len_torch_dispatch_stack() > 0
        or torch._C._are_functorch_transforms_active()
    )
