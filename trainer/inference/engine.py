"""The network of a run, ready to answer: weights in place, in evaluation mode, on the device, in its precision."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from trainer.build.model import bare_model, choose_kernels
from trainer.config import without_weights
from trainer.engine.precision import Precision, is_fast
from trainer.errors import CheckpointError, first_line
from trainer.inference.saved import SavedRun
from trainer.schema import Precise
from trainer.system.upload import upload


@dataclass(frozen=True)
class Engine:
    """What works out a batch. name: for a person, 'torch on cpu in fp32'."""

    logits: Callable[[Tensor], Tensor]
    """Prepared pictures, uint8 (B, C, *prepared_size) on the CPU -> (B, classes) float32 on the CPU."""
    name: str


def load_network(run: SavedRun) -> nn.Module:
    """The run's model with its best weights, in evaluation mode, on the CPU. Raises CheckpointError if they differ."""
    model = bare_model(without_weights(run.config(["model"])), len(run.classes), run.preprocessing.channels)
    try:
        model.load_state_dict(dict(run.weights))
    except RuntimeError as error:
        raise CheckpointError(f"{run.path}: the weights are not those of its model: {first_line(error)}") from error
    return model.eval().requires_grad_(False)


@dataclass(frozen=True)
class Network:
    """A run's model on its device, and what stands around it: the transform before it, the precision it computes in."""

    model: nn.Module
    transform: Callable[[Tensor], Tensor]
    """Prepared pictures, uint8 (B, C, *prepared_size) on the device -> what the model sees."""
    precision: Precision
    kernels: str
    """What its layers are computed by."""

    @property
    def name(self) -> str:
        """For a person: 'torch on cpu in fp32'."""
        kernels = "" if self.kernels == "torch" else " with kernels"
        return f"torch on {self.precision.device.type} in {self.precision.name}{kernels}"


def precision_of(run: SavedRun, device: torch.device, precision: Precise | None = None) -> Precision:
    """The one named; for None what the run was scored in, or fp32 where this device would have to emulate that."""
    chosen = Precision(precision or run.precision, device)
    return chosen if precision is not None or is_fast(chosen) else Precision("fp32", device)


def network(run: SavedRun, device: torch.device, precision: Precise | None = None) -> Network:
    """The run's model as training evaluates it, with our kernels where the run allows them. precision: as above."""
    settings = run.config(["model"]).settings
    chosen = precision_of(run, device, precision)
    model = load_network(run).to(device)
    used = choose_kernels(model, settings, device, chosen.dtype)
    transform = run.preprocessing.transform(device=device, channels_last=settings.channels_last, dtype=chosen.dtype)
    return Network(model, transform, chosen, used.name)


def torch_engine(run: SavedRun, device: torch.device, precision: Precise | None = None) -> Engine:
    """Torch, with `network`."""
    made = network(run, device, precision)

    @torch.inference_mode()
    def logits(pixels: Tensor) -> Tensor:
        images = made.transform(upload(pixels, device))
        with made.precision.autocast():
            out: Tensor = made.model(images)
        return out.float().cpu()

    return Engine(logits, made.name)
