"""A run as a program of torch.export: what torch loads without this package, and compiles for phones and servers."""

import io
import json
import warnings
from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from trainer.errors import TrainerError, first_line
from trainer.inference.export.whole import example, whole
from trainer.inference.saved import SavedRun


def program(run: SavedRun, inside: bool, temperature: float, told: Mapping[str, object]) -> bytes:
    """A .pt2 file; told: what lies in it beside the program, each as JSON under its key.

    Raises TrainerError in one line for a network that torch.export cannot record.
    """
    images, dynamic = example(run, inside=inside)
    sizes = {place: torch.export.Dim(name, min=1) for place, name in enumerate(dynamic)}
    file = io.BytesIO()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            module = whole(run, inside=inside, temperature=temperature)
            recorded = torch.export.export(module, (images,), dynamic_shapes=(sizes,))
            extra = {key: json.dumps(value, ensure_ascii=False) for key, value in told.items()}
            torch.export.save(recorded, file, extra_files=extra)
    except Exception as error:  # whatever an operation that it does not know leads it to
        raise TrainerError(f"this network cannot be written by torch.export ({first_line(error)}).") from error
    return file.getvalue()


def read_program(content: bytes) -> Callable[[Tensor], Tensor]:
    """The program in such a file, as it will be read."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        module = torch.export.load(io.BytesIO(content)).module()

    @torch.inference_mode()
    def answer(images: Tensor) -> Tensor:
        probabilities: Tensor = module(images)
        return probabilities

    return answer
