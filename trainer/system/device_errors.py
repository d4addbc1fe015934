"""Errors of the machine, not of what was asked of it: told by their class, or by torch's words where it has none."""

import torch

_NO_MEMORY = (
    "DefaultCPUAllocator",
    "backend out of memory",  # MPS's
    "CUDA error: out of memory",  # an AcceleratorError: of pinned memory, of a context, of whatever torch's pool is not
    "CUBLAS_STATUS_ALLOC_FAILED",
    "CUDNN_STATUS_ALLOC_FAILED",
)
_OF_A_GPU = ("CUDA error", "CUDA driver error", "cuDNN error", "MPS backend")


def ran_out_of_memory(error: BaseException) -> bool:
    """Whether the error says that memory ran out: of the CPU or of a GPU, of torch's own or of a library below it."""
    return isinstance(error, MemoryError | torch.OutOfMemoryError) or _says(error, _NO_MEMORY)


def is_of_the_machine(error: BaseException) -> bool:
    """Whether memory ran out or a GPU failed, so that the error tells nothing of what was being computed."""
    return isinstance(error, torch.AcceleratorError) or ran_out_of_memory(error) or _says(error, _OF_A_GPU)


def _says(error: BaseException, words: tuple[str, ...]) -> bool:
    return isinstance(error, RuntimeError) and any(each in str(error) for each in words)
