"""Which engine answers: torch, or ONNX Runtime where that is sooner done."""

import time
from collections.abc import Callable

import torch

from trainer.errors import ConfigError, TrainerError
from trainer.inference.engine import Engine, precision_of, torch_engine
from trainer.inference.onnx_engine import is_installed, kept, onnx_engine
from trainer.inference.saved import SavedRun
from trainer.schema import EngineChoice

_FEW = 256
"""Looks for which no other engine is worth its import, and the seconds in which both are timed."""
_WORTH_SECONDS = 40.0
"""Of torch's, that an export may pay for: it takes some 15 s. An efficientnet_lite0 the runtime then works out in a
third of torch's time; an xresnet18, whose layers our kernels know, in as much as torch (16 ms of a core at 128 px)."""
_TIMED = 8


def choose_engine(
    run: SavedRun,
    wanted: EngineChoice,
    device: torch.device,
    looks: int | None = None,
    tell: Callable[[str], None] = lambda line: None,
) -> Engine:
    """The engine that is wanted; of `auto` the one that is done first, by the clock.

    looks: how many pictures will be looked at, each as often as tta does; None where that is not known. tell: gets a
    line about what takes its time, or does not work. Raises ConfigError and TrainerError for an engine that was named.
    """
    if wanted == "onnxruntime" and device.type != "cpu":
        raise ConfigError("engine=onnxruntime computes on the CPU here. Say device=cpu as well, or engine=torch.")
    if wanted == "onnxruntime":
        return _in_onnx(run, tell)
    in_torch = torch_engine(run, device)
    if wanted == "torch" or not _may_be_sooner(run, device, looks):
        return in_torch
    seconds = _seconds_a_look(run, in_torch)
    if not kept(run).exists() and (looks is None or seconds * looks < _WORTH_SECONDS):
        return in_torch
    try:
        in_onnx = _in_onnx(run, tell)
    except TrainerError as error:
        tell(f"{error} Torch answers.")
        return in_torch
    return in_onnx if _seconds_a_look(run, in_onnx) < seconds else in_torch


def _in_onnx(run: SavedRun, tell: Callable[[str], None]) -> Engine:
    if not kept(run).exists():
        tell("Exporting the network for ONNX Runtime, which takes seconds, once.")
    return onnx_engine(run)


def _may_be_sooner(run: SavedRun, device: torch.device, looks: int | None) -> bool:
    if device.type != "cpu" or precision_of(run, device).name != "fp32" or (looks is not None and looks < _FEW):
        return False
    return is_installed(for_export=not kept(run).exists())


def _seconds_a_look(run: SavedRun, engine: Engine) -> float:
    preprocessing = run.preprocessing
    pixels = torch.zeros(_TIMED, preprocessing.channels, *preprocessing.prepared_size, dtype=torch.uint8)
    engine.logits(pixels)  # the first time is longer
    begun = time.perf_counter()
    engine.logits(pixels)
    return (time.perf_counter() - begun) / _TIMED
