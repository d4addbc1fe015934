"""A bare network as ONNX: normalised images in, logits out."""

import io
import logging
import warnings
from collections.abc import Sequence
from contextlib import redirect_stdout

import torch
from torch import Tensor, nn

from trainer.errors import TrainerError, first_line

IMAGES, LOGITS = "images", "logits"
"""The names of what goes in, float32 (B, C, size, size), and of what comes out, float32 (B, classes)."""


def export_network(model: nn.Module, example: Tensor) -> bytes:
    """The ONNX file of a network in evaluation mode, for any number of images; example: two of them.

    Raises TrainerError in one line for a network that ONNX cannot say.
    """
    return export_module(model.to(memory_format=torch.contiguous_format), example.contiguous(), LOGITS, ("batch",))


def export_module(module: nn.Module, example: Tensor, output: str, dynamic: Sequence[str]) -> bytes:
    """The same for a module of one input, `images`, whose first dimensions, of these names, may be any number."""
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    sizes = {place: torch.export.Dim(name, min=1) for place, name in enumerate(dynamic)}
    try:
        with warnings.catch_warnings(), redirect_stdout(io.StringIO()):  # it tells of what is none of a user's business
            warnings.simplefilter("ignore")
            program = torch.onnx.export(
                module.eval(),
                (example,),
                input_names=[IMAGES],
                output_names=[output],
                dynamic_shapes=(sizes,),
                dynamo=True,
                verbose=False,
            )
            assert program is not None
            content: bytes = program.model_proto.SerializeToString()
            return content
    except Exception as error:  # whatever an operation that it does not know leads the exporter to
        raise TrainerError(f"this network cannot be written as ONNX ({_reason(error)}).") from error


def _reason(error: Exception) -> str:
    """What was at the bottom of it, in one line; around it the exporter tells which of its steps it was in."""
    while isinstance(error.__cause__, Exception):
        error = error.__cause__
    return first_line(error).rstrip(".")
