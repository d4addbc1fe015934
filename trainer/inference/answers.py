"""What a run answers on labelled pictures, and the loss that training would have reported for them."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from trainer.build.data import keep
from trainer.build.parts import build_part
from trainer.engine.batch import Batch
from trainer.engine.evaluate import answered, scored
from trainer.engine.metrics import Evaluation
from trainer.feed.batches import EvalBatches
from trainer.feed.pack import Progress
from trainer.feed.store import Store
from trainer.inference.engine import Network, network, torch_engine
from trainer.inference.judges import judge_of
from trainer.inference.labelled import Labelled
from trainer.inference.saved import SavedRun
from trainer.inference.tta import probabilities
from trainer.loss.criterion import Criterion
from trainer.records.folder import read_json
from trainer.schema import Precise, Tta
from trainer.system.upload import upload

_COUNTED = "Scoring images"


@dataclass(frozen=True)
class Answers:
    """Of one run, on N pictures."""

    probabilities: NDArray[np.float64]
    """(N, C), in the order of the run's classes."""
    loss: float | None
    """Training's val_loss, plain cross-entropy; None where no one loss belongs to the answers."""
    objective: float | None
    """What training made small, its smoothing and weights included; None where it cannot be worked out."""
    engine: str
    """What has worked them out, for a person."""
    note: str = ""
    """A word where something is missing."""


def answers(run: SavedRun, pictures: Labelled, device: torch.device, tta: Tta, progress: Progress) -> Answers:
    """The run's answers. Without tta it computes as training does, batch for batch, and so to the last digit."""
    stores, _ = keep(pictures.config, pictures.source, list(pictures.parts.values()), progress)
    known = [_Relabelled(store, pictures.known(store.labels)) for store in stores]
    if tta != "none":
        engine = torch_engine(run, device, _precision(run, device))
        size, batch_size = run.preprocessing.prepared_size, pictures.config.settings.batch_size
        looked_at = _counted(_pixels(known, batch_size), progress, sum(map(len, known)))
        found = [probabilities(engine.logits, run.task, pixels, size, tta) for pixels in looked_at]
        return Answers(np.concatenate(found), None, None, engine.name)
    made = network(run, device, _precision(run, device))
    criterion, is_whole = _criterion(run, pictures)
    logits, scores = _as_in_training(made, known, criterion, pictures.config.settings.batch_size, progress)
    note = "" if is_whole else "The objective is not told: its class weights come from the training labels."
    objective = scores.objective if is_whole else None
    given = judge_of(run.task).probabilities(logits, scores.verdicts)
    return Answers(given, scores.loss, objective, made.name, note)


@dataclass(frozen=True)
class _Relabelled:
    """A store whose labels are those of the run."""

    store: Store
    labels: Tensor

    @property
    def keys(self) -> Sequence[str]:
        return self.store.keys

    @property
    def shape(self) -> tuple[int, int, int]:
        return self.store.shape

    @property
    def resident(self) -> bool:
        return self.store.resident

    def gather(self, orders: Sequence[Tensor]) -> Iterator[Tensor]:
        return self.store.gather(orders)

    def __len__(self) -> int:
        return len(self.store)


def _as_in_training(
    made: Network, stores: Sequence[Store], criterion: Criterion, batch_size: int, progress: Progress
) -> tuple[Tensor, Evaluation]:
    """(N, C) float32 logits on the CPU, and the scores, from one pass of the loop that training evaluates by."""
    device = made.precision.device
    in_order = partial(
        EvalBatches, batch_size=batch_size, upload=partial(upload, device=device), transform=made.transform
    )
    batches: Iterable[Batch] = chain.from_iterable(map(in_order, stores))
    kept: list[Tensor] = []
    total = sum(map(len, stores))

    def noted() -> Iterator[tuple[Batch, Tensor]]:
        done = 0
        for batch, logits in answered(made.model, batches, made.precision):
            kept.append(logits.float().cpu())
            done += len(logits)
            progress(_COUNTED, done, total)
            yield batch, logits

    scores = scored(noted(), criterion.to(device), device)
    return torch.cat(kept), scores


def _pixels(stores: Sequence[Store], batch_size: int) -> Iterator[Tensor]:
    for store in stores:
        yield from store.gather(torch.split(torch.arange(len(store)), batch_size))


def _counted(batches: Iterable[Tensor], progress: Progress, total: int) -> Iterator[Tensor]:
    done = 0
    for batch in batches:
        yield batch
        done += len(batch)
        progress(_COUNTED, done, total)


def _criterion(run: SavedRun, pictures: Labelled) -> tuple[Criterion, bool]:
    """The loss of the training, and whether it is all of it: its class weights may come from labels not at hand."""
    config, labels = run.config(["loss"]), pictures.training_labels
    loss, weights = config.parts["loss"], config.parts["loss"].options.get("class_weights", "none")
    is_whole = labels is not None or weights == "none" or not isinstance(weights, str)
    if not is_whole:
        plain = replace(loss, options={**loss.options, "class_weights": "none"})
        config = replace(config, parts={**config.parts, "loss": plain})
    criterion: Criterion = build_part(
        config, "loss", pictures.known(pictures.labels[:0]) if labels is None else labels, run.classes
    )
    return criterion, is_whole


def _precision(run: SavedRun, device: torch.device) -> Precise | None:
    """What the run was trained in, on the kind of device that it was trained on; elsewhere what is fast there."""
    about = {} if run.folder is None else read_json(run.folder.about)
    trained_on = str(about.get("device", "")).partition(":")[0]
    return run.precision if trained_on == device.type else None  # type: ignore[return-value]
