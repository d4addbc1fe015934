"""What only a GPU shows: the checks with which `make gpu` begins."""

from pathlib import Path

import pytest
import torch

from benchmarks.gpu.checks import Place, checks

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.filterwarnings("default"),  # such as torch's, of what is not repeatable there
    pytest.mark.skipif(not torch.cuda.is_available(), reason="it takes a CUDA GPU, and this machine has none"),
]


@pytest.mark.parametrize("name", [name for name, _ in checks(Place("cuda", False, Path()))])
def test_a_training_on_a_gpu_is_right(name: str, tmp_path: Path) -> None:
    dict(checks(Place("cuda", False, tmp_path)))[name]()
