"""What this release of torch lacks, or does wrong, on a device."""

from dataclasses import replace

import torch

from trainer.config import Config
from trainer.errors import ConfigError

_BORDER, _CHANNELS_LAST = (2, 13), (2, 14)
"""The first releases that have both on mps. A warp had no padding=border (pytorch issue 125098). Of images in channels
last, batch norm's gradients were wrong, or failed (issue 175189, mended by 188371 of 2026-06-28)."""


def without_gaps(config: Config, device: torch.device) -> tuple[Config, tuple[str, ...]]:
    """The config as torch can compute it on the device, and in words what of it does not act there.

    Raises ConfigError where nothing else would do.
    """
    if device.type != "mps":
        return config, ()
    release = tuple(int(number) for number in torch.__version__.split(".")[:2])
    if release < _BORDER and config.parts["aug"].options.get("padding") == "border":
        raise ConfigError("aug.padding: on mps torch has border from 2.13 on. Use aug.padding=reflection.")
    if release >= _CHANNELS_LAST or not config.settings.channels_last:
        return config, ()
    note = "channels_last: before torch 2.14 batch norm is wrong with it on mps, so it is off."
    return replace(config, settings=replace(config.settings, channels_last=False)), (note,)
