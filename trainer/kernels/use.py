"""Whether a run computes with the kernels of this room, and the model that does."""

from torch import nn

from trainer.kernels.batch_norm import fuse_norms
from trainer.kernels.compiled import library
from trainer.kernels.convolution import choose_convolutions


def use_kernels(model: nn.Module, *, compiled: bool) -> None:
    """Lets the layers of a model on a CPU take the fastest way. compiled: whether by the compiled kernels, too."""
    choose_convolutions(model, compiled=compiled)
    if compiled:
        fuse_norms(model)


def are_compiled() -> tuple[bool, str]:
    """Whether there are compiled kernels, and if not, a line that says why and what it costs."""
    found = library()
    if found.kernels is not None:
        return True, ""
    return (
        False,
        f"kernels=auto: {found.reason}, so torch's own are used; gcc makes a step in fp32 about twice as fast.",
    )
