"""A trained run as a function: pictures in, answers out."""

import os
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from trainer.engine.device import choose_device
from trainer.errors import DataError
from trainer.feed.preprocessing import Picture, Preprocessing
from trainer.inference.engine import Engine, torch_engine
from trainer.inference.saved import SavedRun, read_run

Item = TypeVar("Item")
BATCH = 32
"""Pictures worked out together: on two cores larger batches are no faster, and a GPU is fed well enough."""


@dataclass(frozen=True)
class Answer:
    """What a picture shows: the name of the likeliest class, its probability, and those of all classes by name."""

    name: str
    probability: float
    probabilities: dict[str, float]

    def top(self, count: int) -> list[tuple[str, float]]:
        """The likeliest classes with their probabilities, best first."""
        return sorted(self.probabilities.items(), key=lambda pair: -pair[1])[:count]


@dataclass(frozen=True)
class Classifier:
    """Answers for pictures. An answer depends on its picture alone, not on those beside it."""

    classes: tuple[str, ...]
    preprocessing: Preprocessing
    engine: Engine
    temperature: float = 1.0
    """Logits are divided by it, so that probabilities are as sure as they are right."""

    def __call__(self, pictures: str | Path | Image.Image | Sequence[Any]) -> list[Answer]:
        """One answer a picture: paths, Pillow images, or uint8 arrays (H, W) or (H, W, 3), mixed as you like.

        Raises DataError for the first that cannot be read.
        """
        given = [pictures] if isinstance(pictures, str | Path | Image.Image) else list(pictures)
        answers: list[Answer] = []
        for batch in self.answer(Path(each) if isinstance(each, str) else each for each in given):
            for _, answer in batch:
                if isinstance(answer, DataError):
                    raise answer
                answers.append(answer)
        return answers

    def answer(self, pictures: Iterable[Picture]) -> Iterator[list[tuple[int, Answer | DataError]]]:
        """Answers batch by batch, each with its picture's number; the error in place of an answer that there is not.

        Decoded beside the model, a few batches ahead: memory does not grow with their number.
        """
        numbered = _decoded_ahead(self._prepared, enumerate(pictures))
        while batch := list(islice(numbered, BATCH)):
            read = [pixels for _, pixels in batch if isinstance(pixels, Tensor)]
            probabilities = iter(self.probabilities(torch.stack(read)) if read else ())
            yield [
                (number, pixels if isinstance(pixels, DataError) else self._named(next(probabilities)))
                for number, pixels in batch
            ]

    def probabilities(self, pixels: Tensor) -> np.ndarray[Any, np.dtype[np.float64]]:
        """(B, classes), each row summing to 1, of prepared pictures: uint8 (B, C, side, side) on the CPU."""
        logits = self.engine.logits(pixels).double() / self.temperature
        return logits.softmax(dim=1).numpy()

    def _named(self, probabilities: np.ndarray[Any, np.dtype[np.float64]]) -> Answer:
        best = int(probabilities.argmax())
        by_name = dict(zip(self.classes, probabilities.tolist(), strict=True))
        return Answer(self.classes[best], float(probabilities[best]), by_name)

    def _prepared(self, numbered: tuple[int, Picture]) -> tuple[int, Tensor | DataError]:
        number, picture = numbered
        try:
            return number, self.preprocessing.prepared(picture, f"picture {number + 1}")
        except DataError as error:
            return number, error


def load(run: str | Path, *, device: str = "auto", plugins: Sequence[str] = ()) -> Classifier:
    """The classifier of a run folder, or of its best.pt alone. Raises CheckpointError if there is none that is whole.

    device: auto | cpu | cuda | mps. plugins: modules with parts of your own; those that the run names are not imported.
    """
    return classifier_of(read_run(Path(run).expanduser(), plugins), choose_device(device))


def classifier_of(run: SavedRun, device: torch.device) -> Classifier:
    """The classifier that a saved run makes."""
    return Classifier(run.classes, run.preprocessing, torch_engine(run, device))


def _decoded_ahead(work: Any, items: Iterable[Item]) -> Iterator[Any]:
    """work(item) of each, in their order, by threads that are a few batches ahead."""
    coming: deque[Future[Any]] = deque()
    iterator = iter(items)
    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        try:
            for item in islice(iterator, 2 * BATCH):
                coming.append(pool.submit(work, item))
            while coming:
                done = coming.popleft()
                coming.extend(pool.submit(work, item) for item in islice(iterator, 1))
                yield done.result()
        finally:
            for each in coming:
                each.cancel()
