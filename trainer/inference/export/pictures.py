"""The pictures that an export is proven on: those that the run was validated on, or others that the command names."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from trainer.data.decode import decode
from trainer.data.formats import Packed
from trainer.data.listing import files_of
from trainer.data.source import Samples
from trainer.inference.labelled import labelled
from trainer.inference.saved import SavedRun

MOST = 500
"""Pictures that an export is proven on: an answer in 200 that differs is seen, and no one waits for minutes."""
_CALIBRATING = 200
"""Training pictures that ranges are measured on."""

Pixels = NDArray[np.uint8]


@dataclass(frozen=True)
class Proof:
    """Real pictures with labels. labels: those of the task, (N,) or (N, C), among the classes of the run; -1: none."""

    run: SavedRun
    files: tuple[Path | Packed, ...]
    """Those that they are read from; none where the set has no files."""
    samples: tuple[tuple[Samples, int], ...]
    labels: NDArray[Any]
    training: Samples

    def __len__(self) -> int:
        return len(self.labels)

    def decoded(self, number: int) -> Pixels:
        """(H, W, 3), as any other program would read the file; a picture of a set without files at its own size."""
        if self.files:
            pixels = decode(self.files[number])  # (3, H, W)
        else:
            samples, index = self.samples[number]
            pixels = samples.image(index).expand(3, -1, -1)
        return np.ascontiguousarray(pixels.permute(1, 2, 0).numpy())

    def calibrating(self, batch: int) -> Iterator[NDArray[np.float32]]:
        """Training pictures as the model sees them, (B, C, *size): of every class, since they are spread out."""
        transform = self.run.preprocessing.transform(device=torch.device("cpu"))
        for some in torch.split(torch.tensor(_spread(len(self.training), _CALIBRATING)), batch):
            images: Tensor = transform(torch.stack([self.training.image(index) for index in some.tolist()]))
            yield images.contiguous().numpy()


def proof(run: SavedRun, words: Sequence[str]) -> Proof:
    """The pictures of the run's validation part, or of the set that the words name; at most MOST, spread evenly.

    Nothing is decoded yet. Raises ConfigError or DataError in one line if they are not there.
    """
    found = labelled(run, words, None)
    places: list[tuple[Samples, int]] = [(part, index) for part in found.parts.values() for index in range(len(part))]
    files = [each.picture for part in found.parts.values() for each in files_of(part)]
    labels: NDArray[Any] = found.known(found.labels).numpy()
    chosen = _spread(len(places), MOST)
    return Proof(
        run,
        tuple(files[number] for number in chosen) if len(files) == len(places) else (),
        tuple(places[number] for number in chosen),
        labels[chosen],
        found.source.train,
    )


def _spread(count: int, most: int) -> list[int]:
    """At most so many of the numbers below count, as far from one another as can be."""
    return sorted({number * count // min(count, most) for number in range(min(count, most))})
