"""Optimizers that do not import torch's compiler step as torch's own do."""

import subprocess
import sys
from collections.abc import Callable
from copy import deepcopy

import pytest
import torch
from torch import nn

from trainer.optim.uncompiled import uncompiled

RUN = """
import sys
from trainer.cli.main import main
code = main(sys.argv[1:])
loaded = {"torch._dynamo", "torchvision", "sympy", "matplotlib"} & set(sys.modules)
assert code == 0 and "torch" in sys.modules and not loaded, loaded
"""


@pytest.mark.parametrize("kind", [torch.optim.SGD, torch.optim.AdamW, torch.optim.RMSprop, torch.optim.Adagrad])
def test_it_steps_as_the_original_and_takes_its_hooks_and_its_state(kind: Callable[..., torch.optim.Optimizer]) -> None:
    torch.manual_seed(0)
    theirs = nn.Linear(5, 3)
    ours = deepcopy(theirs)
    original = kind(theirs.parameters(), lr=0.1)
    light = uncompiled(kind)(ours.parameters(), lr=0.1)
    hooked: list[bool] = []
    light.register_step_post_hook(lambda *_: hooked.append(True))
    for _ in range(3):
        images = torch.randn(4, 5)
        for model, optimizer in ((theirs, original), (ours, light)):
            optimizer.zero_grad()
            model(images).square().sum().backward()
            optimizer.step()
        light.load_state_dict(deepcopy(light.state_dict()))
    assert all(torch.equal(mine, other) for mine, other in zip(ours.parameters(), theirs.parameters(), strict=True))
    assert hooked == [True] * 3


@pytest.mark.slow
def test_a_run_imports_neither_the_compiler_nor_a_drawing_library(tmp_path: object) -> None:
    words = ["data.images=64", "data.size=12", "model.widths=[4,8]", "epochs=1", "device=cpu", f"output={tmp_path}"]
    ended = subprocess.run([sys.executable, "-c", RUN, *words], capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
