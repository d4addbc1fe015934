"""Freed memory is used again instead of being given back."""

import subprocess
import sys

import pytest

STEPS = """
import resource, torch
from trainer.engine.memory import keep_freed_memory
def faults():
    for _ in range(20):  # what malloc splits off at first fills its cache of small blocks, and keeps large ones apart
        torch.zeros(2**24)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(10):
        torch.zeros(2**24)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
given_back = faults()
keep_freed_memory()
print(faults(), given_back)
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="glibc alone")
def test_a_large_tensor_finds_the_memory_of_the_last_one() -> None:
    kept, given_back = map(int, subprocess.check_output([sys.executable, "-c", STEPS], text=True).split())
    assert kept * 10 < given_back  # 16 MiB x 4 bytes are 16,384 pages each time
