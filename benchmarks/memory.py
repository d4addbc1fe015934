"""The most memory that a whole run takes, as the operating system counts it."""

import resource
import subprocess
import sys
import tempfile

CIFAR10_SIZED = ("data=glyphs", "data.images=50000", "data.size=32", "epochs=1", "limit_train=5000", "limit_val=1000")


def peak_gib() -> float:
    """GiB of a run on 50,000 resident training and 10,000 test images of 32 px, data drawing and torch included."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "trainer", f"output={folder}", *CIFAR10_SIZED]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 2**20
