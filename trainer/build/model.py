"""The network that a config names, and what its layers are computed by."""

import torch
from torch import Tensor, nn

from trainer.aug.sampling import Blend, blended
from trainer.build.parts import build_part
from trainer.config import Config
from trainer.kernels.use import Used, fastest_blend, use_kernels
from trainer.model.staged import check
from trainer.rng import seed_of
from trainer.settings import Settings


def bare_model(config: Config, num_classes: int, channels: int) -> nn.Module:
    """The model as its part builds it, on the CPU, in the memory layout of the config."""
    model: nn.Module = build_part(config, "model", num_classes, channels)
    return model.to(memory_format=torch.channels_last) if config.settings.channels_last else model


def build_model(config: Config, num_classes: int, channels: int, images: Tensor) -> nn.Module:
    """The model on its device, initialised; images: a batch of training images as the model will see them."""
    settings = config.settings
    torch.manual_seed(seed_of(settings.seed, "model"))
    model: nn.Module = build_part(config, "model", num_classes, channels)
    model.to(images.device)
    check(model, images[:2], num_classes)
    torch.manual_seed(seed_of(settings.seed, "init"))
    build_part(config, "init", model, images)
    return model.to(memory_format=torch.channels_last) if settings.channels_last else model


def choose_kernels(model: nn.Module, settings: Settings, device: torch.device, dtype: torch.dtype) -> Used:
    """Lets the layers take the fastest way that the settings and the device allow.

    Kernels are for a CPU, for images in channels last, and for layers that torch's compiler does not take apart.
    """
    return use_kernels(model, dtype) if _may_use_kernels(settings, device) else Used()


def choose_blend(settings: Settings, device: torch.device, dtype: torch.dtype) -> Blend:
    """The fastest blend of the augmentation that the settings and the device allow: all give the same bits."""
    return fastest_blend(dtype) if _may_use_kernels(settings, device) else blended


def _may_use_kernels(settings: Settings, device: torch.device) -> bool:
    return device.type == "cpu" and settings.kernels == "auto" and settings.channels_last and not settings.compile
