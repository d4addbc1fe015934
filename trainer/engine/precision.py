"""Mixed precision on one path: autocast and a gradient scaler that are merely disabled where they are not wanted."""

from dataclasses import dataclass

import torch
from torch.amp import GradScaler, autocast

_DTYPES = {"fp32": torch.float32, "tf32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
_FIRST_WITH_TF32 = (8, 0)
"""The compute capability of Ampere."""
_NO_BACKOFF = 1 - 2.0**-53
"""Below 1, as torch wants it, and 1 in the float32 in which the scale is kept."""
_NEVER = 2**31 - 1


@dataclass(frozen=True)
class Precision:
    """The arithmetic of forward and backward. Weights, norms and loss stay in float32 (Micikevicius et al. 2018)."""

    name: str
    device: torch.device

    @property
    def dtype(self) -> torch.dtype:
        """What convolutions and matrix products take, and so the type of the images that a model is given."""
        return _DTYPES[self.name]

    @property
    def note(self) -> str:
        """A word for the user where the precision costs time instead of saving it, or is none; else empty."""
        if self.name == "tf32" and torch.cuda.get_device_capability(self.device) < _FIRST_WITH_TF32:
            return f"precision=tf32: {torch.cuda.get_device_name(self.device)} has none, and computes in fp32."
        if self.name != "bf16" or self.device.type == "mps" or _fast_bf16(self.device):
            return ""
        return f"precision=bf16: {self.device} has no instructions for it and emulates it, slowly. fp32 is faster here."

    def autocast(self) -> autocast:
        """What a model runs in. What CUDA does with products follows, and stays so for the backward pass."""
        self.set_products()
        return autocast(self.device.type, dtype=self.dtype, enabled=self.dtype is not torch.float32)

    def set_products(self) -> None:
        """Lets CUDA multiply in TF32, of 10 bits, in tf32 and in nothing else; for the whole process."""
        if self.device.type == "cuda":
            torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = self.name == "tf32"

    def scaler(self, *, skip: bool = False) -> GradScaler:
        """Scales the loss so that small gradients survive fp16, and leaves out the steps that overflow.

        Elsewhere everything passes through; but with skip, steps that are not finite are left out there as well.
        """
        if self.name == "fp16":
            return GradScaler(self.device.type)
        return GradScaler(
            self.device.type, enabled=skip, init_scale=1.0, backoff_factor=_NO_BACKOFF, growth_interval=_NEVER
        )


def choose_precision(wanted: str, device: torch.device) -> Precision:
    """The precision for auto | fp32 | tf32 | bf16 | fp16. auto: bf16 where it is fast, else fp16 on CUDA, else fp32."""
    if wanted != "auto":
        return Precision(wanted, device)
    if _fast_bf16(device):
        return Precision("bf16", device)
    return Precision("fp16" if device.type == "cuda" else "fp32", device)


def is_fast(precision: Precision) -> bool:
    """Whether the device computes in this precision by itself: else fp32 is faster, and as right."""
    if precision.name == "bf16":
        return precision.device.type == "mps" or _fast_bf16(precision.device)
    if precision.name == "tf32":
        return precision.device.type == "cuda"
    return precision.name == "fp32" or precision.device.type != "cpu"


def _fast_bf16(device: torch.device) -> bool:
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    if device.type == "cpu":  # torch has no public name for these two in its oldest supported release
        return torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
    return False
