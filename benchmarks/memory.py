"""The most memory that a whole run takes, as the operating system counts it, and how that grows with the set."""

import os
import subprocess
import sys
import tempfile

CIFAR10_SIZED = ("data.images=50000", "data.size=32", "limit_train=5000", "limit_val=1000", "limit_test=all")
GROWING = ("data.size=48", "model.widths=[4]", "batch_size=256", "workers=2")
FEW, MANY = 2000, 40000
"""Training images, 48 px: 16 MiB and 316 MiB with the test part, decoded."""


def peak_gib() -> float:
    """GiB of a run on 50,000 resident training and 10,000 test images of 32 px, data drawing and torch included."""
    return _peak_mib(*CIFAR10_SIZED) / 1024


def growth(cache: str) -> tuple[float, float]:
    """MiB at the peak of an epoch over 2,000 training images, and over 40,000; cache: as data.cache says it."""
    few, many = (_peak_mib(*GROWING, f"data.cache={cache}", f"data.images={images}") for images in (FEW, MANY))
    return few, many


def _peak_mib(*words: str) -> float:
    """MiB of a run of its own on drawn images; its loader processes, which share its pages, are not counted."""
    with tempfile.TemporaryDirectory() as folder:
        told = (f"output={folder}", "data=glyphs", f"data.cache_dir={folder}/kept", "epochs=1", *words)
        run = subprocess.Popen([sys.executable, "-m", "trainer", *told], stdout=subprocess.DEVNULL)
        _, status, usage = os.wait4(run.pid, 0)
    if status:
        raise RuntimeError(f"the run ended with {status}: {' '.join(told)}")
    return usage.ru_maxrss / 1024
