"""What every model part returns: a network that lists its stages, stem to head."""

from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from copy import deepcopy

import torch
from torch import Tensor, nn

from trainer.errors import ConfigError
from trainer.system.device_errors import is_of_the_machine


class Staged(nn.Module):
    """A classifier from images (B, C, H, W) to logits (B, num_classes).

    A model of your own need not inherit from this: any module with `stages` is one.
    """

    notes: tuple[str, ...] = ()
    """What was loaded, new and left out in building it, one line each, for the user to read before the run."""
    keeps_head: bool = False
    """Whether the last layer came with the weights, and so may know other classes than those at hand."""

    @property
    def stages(self) -> list[nn.Module]:
        """Stem to head; together they hold every parameter exactly once.

        Freezing, rates per stage and probes all use this one list.
        """
        raise NotImplementedError


class Chain(Staged, nn.Sequential):
    """A network that is its stages, one after the other."""

    def __init__(self, **stages: nn.Module) -> None:
        nn.Sequential.__init__(self, OrderedDict(stages))

    def forward(self, images: Tensor) -> Tensor:
        x = images
        for stage in self.children():
            x = stage(x)
        return x

    @property
    def stages(self) -> list[nn.Module]:
        """The children that learn: a step without parameters, as noise before the stem, is no stage."""
        return [child for child in self.children() if any(True for _ in child.parameters())]


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """The model in evaluation mode while it lasts; afterwards each of its modules is in the mode that it was in."""
    modes = {module: module.training for module in model.modules()}
    model.eval()
    try:
        yield
    finally:
        for module, training in modes.items():
            module.training = training


def check_single(model: nn.Module, images: Tensor) -> None:
    """Show that the model can be trained on a batch of one. images: (1, C, H, W). Raises ConfigError; on a copy."""
    try:
        with torch.no_grad():
            deepcopy(model).train()(images)
    except ValueError as error:  # batch norm has no variance to take of one value a channel
        raise ConfigError(f"batch_size: batches of one image are too small for this model: {error}.") from error


def check(model: nn.Module, images: Tensor, num_classes: int) -> None:
    """Show that the model can take these images (B, C, H, W), gives logits (B, num_classes), and has its stages right.

    Nothing in the model changes: it runs in evaluation mode, without gradients. Raises ConfigError.
    """
    stages = getattr(model, "stages", None)
    if stages is None:
        raise ConfigError(
            f"model: {type(model).__name__} has no `stages`: wrap it in trainer.model.staged.Chain(stem=..., head=...)."
        )
    held = sorted(id(parameter) for stage in stages for parameter in stage.parameters())
    if held != sorted(id(parameter) for parameter in model.parameters()):
        raise ConfigError(f"model: the `stages` of {type(model).__name__} must hold every parameter exactly once.")
    try:
        with torch.no_grad(), evaluating(model):
            logits = model(images)
    except (RuntimeError, AssertionError) as error:  # torchvision asserts the size that a transformer was built for
        if is_of_the_machine(error):
            raise
        reason, pixels = str(error).strip().split("\n")[0], "x".join(str(side) for side in images.shape[-2:])
        advice = "Change data.size, or model.image_size where the model has one."
        raise ConfigError(f"model: it cannot take images of {pixels} pixels ({reason}). {advice}") from error
    if not isinstance(logits, Tensor) or logits.shape != (len(images), num_classes):
        given = tuple(logits.shape) if isinstance(logits, Tensor) else type(logits).__name__
        raise ConfigError(f"model: it gives {given} for {len(images)} images of {num_classes} classes.")
