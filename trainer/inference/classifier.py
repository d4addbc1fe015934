"""A trained run as a function: pictures in, answers out."""

import os
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from trainer.engine.device import choose_device
from trainer.errors import CheckpointError, DataError, some
from trainer.feed.preprocessing import Picture, Preprocessing
from trainer.inference.answer import Answer
from trainer.inference.answering import Answering, answering_of, check_calibration
from trainer.inference.choice import choose_engine
from trainer.inference.engine import Engine
from trainer.inference.saved import SavedRun, read_run
from trainer.inference.tta import prepared_size
from trainer.inference.tta import probabilities as looked_at
from trainer.schema import EngineChoice, Tta

Name = TypeVar("Name")
"""Whatever says, as text, which picture it is."""
Item = TypeVar("Item")
BATCH = 32
"""Pictures worked out together: on two cores larger batches are no faster, and a GPU is fed well enough."""


@dataclass(frozen=True)
class Classifier:
    """Answers for pictures. An answer depends on its picture alone, not on those beside it."""

    classes: tuple[str, ...]
    preprocessing: Preprocessing
    engine: Engine
    answering: Answering
    temperature: float = 1.0
    """Logits are divided by it, so that probabilities are as sure as they are right."""
    tta: Tta = "none"
    """How often each picture is looked at."""

    def __repr__(self) -> str:
        return f"<Classifier of {len(self.classes)} classes ({some(self.classes)}) by {self.engine.name}>"

    def __call__(self, pictures: str | Path | Image.Image | Sequence[Any]) -> list[Answer]:
        """One answer a picture: paths, Pillow images, or uint8 arrays (H, W) or (H, W, 3), mixed as you like.

        Raises DataError for the first that cannot be read.
        """
        given: list[Any] = [pictures] if _is_one(pictures) else list(pictures)  # type: ignore[arg-type]
        answers: list[Answer] = []
        read = (Path(each).expanduser() if isinstance(each, str) else each for each in given)
        for batch in self.answer((f"picture {place}", picture) for place, picture in enumerate(read, start=1)):
            for _, answer in batch:
                if isinstance(answer, DataError):
                    raise answer
                answers.append(answer)
        return answers

    def answer(
        self, pictures: Iterable[tuple[Name, Picture | DataError]]
    ) -> Iterator[list[tuple[Name, Answer | DataError]]]:
        """Answers batch by batch, each with its picture's name; the error in place of an answer that there is not.

        Decoded beside the model, a few batches ahead: memory does not grow with their number. A picture that could not
        be found comes as the error that says so.
        """
        decoded = _decoded_ahead(self._prepared, pictures)
        while batch := list(islice(decoded, BATCH)):
            read = [pixels for _, pixels in batch if isinstance(pixels, Tensor)]
            probabilities = iter(self.probabilities(torch.stack(read)) if read else ())
            yield [
                (name, pixels if isinstance(pixels, DataError) else self._named(next(probabilities)))
                for name, pixels in batch
            ]

    def probabilities(self, pixels: Tensor) -> NDArray[np.float64]:
        """(B, classes), the task's, of prepared pictures: uint8 (B, C, H, W) on the CPU, of the prepared size of the
        preprocessing, or tta's larger one."""
        logits, task = self.engine.logits, self.answering.task
        return looked_at(logits, task, pixels, self.preprocessing.prepared_size, self.tta, self.temperature)

    @cached_property
    def _larger(self) -> Preprocessing:
        """The preprocessing at the size that tta wants."""
        size = prepared_size(self.preprocessing.prepared_size, self.tta)
        return replace(self.preprocessing, frame=replace(self.preprocessing.frame, size=size))

    def _named(self, probabilities: NDArray[np.float64]) -> Answer:
        return self.answering.answer(self.classes, probabilities)

    def _prepared(self, pair: tuple[Name, Picture | DataError]) -> tuple[Name, Tensor | DataError]:
        name, picture = pair
        if isinstance(picture, DataError):
            return pair  # type: ignore[return-value]
        try:
            return name, self._larger.prepared(picture, str(name))
        except DataError as error:
            return name, error


def load(
    run: str | Path,
    *,
    device: str = "auto",
    engine: EngineChoice = "torch",
    tta: Tta = "none",
    calibrated: bool = False,
    plugins: Sequence[str] = (),
) -> Classifier:
    """The classifier of a run folder, or of its best.pt alone. Raises CheckpointError if there is none that is whole.

    device: auto | cpu | cuda | mps. engine: torch | onnxruntime | auto. tta: none | flip | crops, so many looks at a
    picture. calibrated: divides by the temperature that `evaluate` has stored. plugins: modules with parts of your
    own; those that the run names are not imported.
    """
    saved = read_run(Path(run).expanduser(), plugins)
    return classifier_of(saved, choose_engine(saved, engine, choose_device(device)), tta, calibrated)


def classifier_of(
    run: SavedRun,
    engine: Engine,
    tta: Tta = "none",
    calibrated: bool = False,
    answering: Answering | None = None,
) -> Classifier:
    """The classifier that a saved run and its engine make. answering: None is the run's own."""
    temperature = _temperature_of(run) if calibrated else 1.0
    return Classifier(run.classes, run.preprocessing, engine, answering or answering_of(run), temperature, tta)


def _temperature_of(run: SavedRun) -> float:
    from trainer.inference.temperature import read_temperature  # with it comes what fits it

    check_calibration(run)
    temperature = read_temperature(run)
    if temperature is None:
        raise CheckpointError(
            f"calibrated: {run.path} has no temperature yet. Find it: python -m trainer evaluate {run.path}"
        )
    return temperature.temperature


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


def _is_one(pictures: Any) -> bool:
    """Whether one picture is given, and not several: an array of three sides or fewer is one."""
    is_array = isinstance(pictures, np.ndarray) and pictures.ndim < 4
    return is_array or isinstance(pictures, str | Path | Image.Image)
