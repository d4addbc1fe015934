"""One training step under the profiler: a plain loop's, and the engine's with its kernels.

python -m benchmarks.step
"""

from collections import Counter
from collections.abc import Callable
from copy import deepcopy
from functools import partial

import torch
from rich.console import Console
from torch import nn
from torch.profiler import ProfilerActivity, profile

from benchmarks import results
from benchmarks.engine import Pair, Resident, bare_loop
from benchmarks.tables import shown
from trainer.engine.interrupt import Interrupt
from trainer.engine.loop import Recipe, train_epoch
from trainer.engine.memory import keep_freed_memory
from trainer.engine.precision import choose_precision
from trainer.engine.state import State
from trainer.kernels.use import use_kernels
from trainer.optim.sgd import sgd
from trainer.registry import LOSSES, MODELS

STEPS, ROUNDS = 4, 3
STEPS_OF = (("xresnet18", 3, 32, 128), ("small_cnn", 1, 128, 28))
"""Model, channels, images in a batch, and pixels of a side."""
KINDS = {
    "convolutions, forward": ("aten::mkldnn_convolution", "Winograd"),
    "convolutions, backward": ("aten::convolution_backward", "WinogradBackward"),
    "matrix products": ("aten::mm", "aten::addmm", "aten::bmm"),
    "batch norm (ours in fp32: with ReLU)": (
        "aten::native_batch_norm",
        "aten::native_batch_norm_backward",
        "_Norm",
        "_NormBackward",
    ),
    "ReLU": ("aten::clamp_min_", "aten::threshold_backward"),
    "copies and casts": ("aten::copy_",),
    "pooling": (
        "aten::max_pool2d_with_indices",
        "aten::max_pool2d_with_indices_backward",
        "aten::avg_pool2d",
        "aten::avg_pool2d_backward",
    ),
}
"""What a step does, by the kernels that do it; the rest is counted together."""


def steps() -> dict[str, Counter[str]]:
    """Milliseconds a step by kind, of bare loops and of the engine; the least of the rounds.

    The bare loops come first, for the memory that the engine keeps would serve them as well.
    """
    torch.manual_seed(0)
    works = {}
    for name, channels, batch, size in STEPS_OF:
        model = MODELS.builder(name)(10, channels).to(memory_format=torch.channels_last)
        images = torch.randn(batch, channels, size, size).to(memory_format=torch.channels_last)
        works[f"{name}, {batch} x {size} px"] = model, Pair(images, torch.randint(0, 10, (batch,)))
    found = {}
    for work, (model, pair) in works.items():
        found[f"{work}: plain loop"] = _profiled(partial(bare_loop(deepcopy(model), pair), STEPS))
    keep_freed_memory()
    for work, (model, pair) in works.items():
        found[f"{work}: ours"] = _profiled(_engine(deepcopy(model), pair))
    return {work: found[work] for work in sorted(found, reverse=True)}


def _engine(model: nn.Module, pair: Pair) -> Callable[[], object]:
    precision = choose_precision("auto", torch.device("cpu"))
    use_kernels(model, precision.dtype)
    criterion = LOSSES.builder("cross_entropy")(pair.labels, [str(each) for each in range(10)])
    recipe = Recipe(criterion, lambda step: 1.0, precision)
    state = State.begin(model, sgd(model, lr=0.01), precision.scaler(), averaging=False)

    def run() -> None:
        state.step, state.epoch = 0, 0
        list(train_epoch(state, Resident(pair, STEPS), recipe, Interrupt()))

    return run


def _profiled(run: Callable[[], object]) -> Counter[str]:
    run()
    rounds = []
    for _ in range(ROUNDS):
        with profile(activities=[ProfilerActivity.CPU]) as found:
            run()
        rounds.append(_by_kind({each.key: each.self_cpu_time_total / 1e3 / STEPS for each in found.key_averages()}))
    return min(rounds, key=lambda each: each.total())


def _by_kind(milliseconds: dict[str, float]) -> Counter[str]:
    kinds = Counter({kind: sum(milliseconds.get(name, 0.0) for name in names) for kind, names in KINDS.items()})
    kinds["all else"] = sum(milliseconds.values()) - kinds.total()
    return kinds


def main() -> None:
    found = steps()
    kinds = dict.fromkeys(kind for each in found.values() for kind in each)
    rows = [[kind, *(f"{found[who][kind]:.0f}" for who in found)] for kind in kinds]
    rows.append(["the step", *(f"{found[who].total():.0f}" for who in found)])
    heads = [f"ms, {torch.get_num_threads()} threads", *found]
    results.write("step", {"heads": heads, "rows": rows})
    Console(width=130).print(shown({"step": {"heads": heads, "rows": rows}}, "step"), highlight=False)


if __name__ == "__main__":
    main()
