"""An error of the machine is known from one of what was asked of it."""

import pytest
import torch

from trainer.system.device_errors import is_of_the_machine, ran_out_of_memory

NO_MEMORY = [
    MemoryError(),
    torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB."),
    torch.AcceleratorError("CUDA error: out of memory\nCUDA kernel errors might be asynchronously reported", 2),
    RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
    RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"),
    RuntimeError("MPS backend out of memory (MPS allocated: 9.00 GB)"),
    RuntimeError("[enforce fail at alloc_cpu.cpp:121] err == 0. DefaultCPUAllocator: can't allocate memory"),
]
OTHERS_OF_A_GPU = [
    torch.AcceleratorError("CUDA error: an illegal memory access was encountered", 700),
    RuntimeError("CUDA error: CUBLAS_STATUS_EXECUTION_FAILED when calling `cublasSgemm`"),
    RuntimeError("cuDNN error: CUDNN_STATUS_EXECUTION_FAILED"),
]
OF_WHAT_WAS_ASKED = [RuntimeError("mat1 and mat2 shapes cannot be multiplied (2x4 and 5x3)"), ValueError("CUDA error")]


@pytest.mark.parametrize("error", NO_MEMORY, ids=str)
def test_memory_that_ran_out_is_known_wherever_it_did(error: Exception) -> None:
    assert ran_out_of_memory(error) and is_of_the_machine(error)


@pytest.mark.parametrize("error", OTHERS_OF_A_GPU, ids=str)
def test_a_gpu_that_failed_is_no_lack_of_memory(error: Exception) -> None:
    assert is_of_the_machine(error) and not ran_out_of_memory(error)


@pytest.mark.parametrize("error", OF_WHAT_WAS_ASKED, ids=str)
def test_any_other_error_is_neither(error: Exception) -> None:
    assert not is_of_the_machine(error) and not ran_out_of_memory(error)
