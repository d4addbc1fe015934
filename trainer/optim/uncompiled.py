"""Torch's optimizers without its compiler: nothing here compiles them, and its import takes as long as torch's own."""

import inspect
from typing import Any

import torch
from torch.optim import Optimizer

_WRAPPED = ("add_param_group", "zero_grad", "state_dict", "load_state_dict")


def uncompiled(kind: type[Optimizer]) -> Any:
    """The class with its methods as they were before torch wrapped them for the compiler; they do the same."""
    methods = {name: inspect.unwrap(getattr(kind, name)) for name in _WRAPPED}
    return type(kind.__name__, (kind,), {**methods, "step": torch.no_grad()(inspect.unwrap(kind.step))})
