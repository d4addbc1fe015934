"""Freed memory is used again instead of being given back."""

import subprocess
import sys

import pytest

STEPS = """
import resource, torch
from trainer.engine.memory import keep_freed_memory
{first}
faults = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(20):  # what malloc splits off at first fills its cache of small blocks, and keeps large ones apart
    torch.zeros(2**24)
before = faults()
for _ in range(10):
    torch.zeros(2**24)
print(faults() - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="glibc alone")
def test_a_large_tensor_finds_the_memory_of_the_last_one() -> None:
    def faults(first: str) -> int:
        return int(subprocess.check_output([sys.executable, "-c", STEPS.format(first=first)], text=True))

    assert faults("keep_freed_memory()") * 10 < faults("")  # 16 MiB x 4 bytes are 16,384 pages each time
