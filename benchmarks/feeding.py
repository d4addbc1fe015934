"""Fashion-MNIST from its files, augmented and trained on, beside the same model's bare step rate."""

from pathlib import Path

import torch

from benchmarks.engine import Pair, bare_loop
from benchmarks.rates import Ratio, in_turn
from trainer.build import build
from trainer.compose import Origin, compose
from trainer.config import conf_folder
from trainer.engine.interrupt import Interrupt
from trainer.engine.loop import train_epoch
from trainer.registry import MODELS

STEPS = 20
BATCH = 256


def fed_over_bare(root: Path) -> Ratio:
    """images/s of training with everything, over those of the bare loop on one resident batch."""
    words = [
        "data=fashion_mnist",
        f"data.root={root}",
        f"batch_size={BATCH}",
        f"limit_train={BATCH * STEPS}",
        "limit_val=1000",
        "optim=sgd",
        "optim.lr=0.01",
    ]
    job = build(compose(words, Origin(conf_folder())), lambda *_: None)
    device = job.state.sums.device
    torch.manual_seed(0)
    model = MODELS.builder("small_cnn")(10, 1).to(device, memory_format=torch.channels_last)
    pair = Pair(torch.randn(BATCH, 1, 28, 28, device=device), torch.randint(0, 10, (BATCH,), device=device))

    def fed() -> int:
        job.state.step, job.state.epoch = 0, 0
        return sum(train_epoch(job.state, job.batches, job.recipe, Interrupt()))

    return in_turn(fed, lambda: bare_loop(model, pair, STEPS), rounds=5)
