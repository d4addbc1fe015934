"""Which engine answers: torch, or ONNX Runtime where that is sooner done."""

import time
from collections.abc import Callable

import torch

from trainer.errors import ConfigError, TrainerError
from trainer.inference.engine import Engine, precision_of, torch_engine
from trainer.inference.onnx_engine import is_installed, kept, onnx_engine
from trainer.inference.saved import SavedRun
from trainer.schema import EngineChoice

_FEW = 64
"""Looks for which no other engine is worth its import."""
_WORTH_SECONDS = 40.0
"""Of torch's, that an export pays for: it takes some 15 s, and halves them at least."""
_TIMED = 8


def choose_engine(
    run: SavedRun,
    wanted: EngineChoice,
    device: torch.device,
    looks: int | None = None,
    tell: Callable[[str], None] = lambda line: None,
) -> Engine:
    """The engine that is wanted; of `auto` the one that is done first.

    looks: how many pictures will be looked at, each as often as tta does; None where that is not known. tell: gets a
    line about what takes its time, or does not work. Raises ConfigError and TrainerError for an engine that was named.
    """
    if wanted == "onnxruntime" and device.type != "cpu":
        raise ConfigError("engine=onnxruntime computes on the CPU here. Say device=cpu as well, or engine=torch.")
    if wanted == "torch" or (wanted == "auto" and not _may_be_sooner(run, device, looks)):
        return torch_engine(run, device)
    if not kept(run).exists():
        if wanted == "auto":
            in_torch = torch_engine(run, device)
            if looks is None or _seconds_a_look(run, in_torch) * looks < _WORTH_SECONDS:
                return in_torch
        tell("Exporting the network for ONNX Runtime, which takes seconds, once.")
    try:
        return onnx_engine(run)
    except TrainerError as error:
        if wanted == "onnxruntime":
            raise
        tell(f"{error} Torch answers.")
        return torch_engine(run, device)


def _may_be_sooner(run: SavedRun, device: torch.device, looks: int | None) -> bool:
    if device.type != "cpu" or precision_of(run, device).name != "fp32" or (looks is not None and looks < _FEW):
        return False
    return is_installed(for_export=not kept(run).exists())


def _seconds_a_look(run: SavedRun, engine: Engine) -> float:
    side = run.preprocessing.side
    pixels = torch.zeros(_TIMED, run.preprocessing.channels, side, side, dtype=torch.uint8)
    engine.logits(pixels)  # the first time is longer
    begun = time.perf_counter()
    engine.logits(pixels)
    return (time.perf_counter() - begun) / _TIMED
