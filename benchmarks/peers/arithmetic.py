"""In what everyone at their best computes, chosen once: bf16 where this processor is fast in it, else fp32.

The choice is that of our own `precision=auto`, so nobody is told to use what we would not. On a processor without bf16
instructions autocast is emulated: an AMD EPYC (Zen 3) trains the small CNN 15 times slower in it.
"""

from functools import partial

import torch

from trainer.engine.precision import choose_precision

BF16 = choose_precision("auto", torch.device("cpu")).dtype is torch.bfloat16


def precision(best: bool) -> "partial[torch.autocast]":
    """What makes the context of forward passes; at their defaults everyone computes in fp32."""
    return partial(torch.autocast, "cpu", torch.bfloat16, enabled=best and BF16)
