"""What a run answers on labelled pictures, and the loss that training would have reported for them."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from trainer.build.data import keep
from trainer.build.parts import build_part
from trainer.engine.loop import Batch, answered, scored
from trainer.engine.metrics import Evaluation
from trainer.feed.batches import EvalBatches
from trainer.feed.pack import Progress
from trainer.feed.store import Store
from trainer.inference.engine import Network, network, torch_engine
from trainer.inference.labelled import Labelled
from trainer.inference.saved import SavedRun
from trainer.inference.tta import probabilities
from trainer.loss.criterion import Criterion
from trainer.loss.cross_entropy import cross_entropy
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
        found = [probabilities(engine.logits, pixels, size, tta) for pixels in looked_at]
        return Answers(np.concatenate(found), None, None, engine.name)
    made = network(run, device, _precision(run, device))
    criterion = _criterion(run, pictures)
    counted = criterion or cross_entropy(torch.empty(0, dtype=torch.int64), run.classes)
    logits, scores = _as_in_training(made, known, counted, pictures.config.settings.batch_size, progress)
    note = "" if criterion else "The objective is not told: its class weights come from the training labels."
    objective = scores.objective if criterion else None
    return Answers(logits.double().softmax(dim=1).numpy(), scores.loss, objective, made.name, note)


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


def _criterion(run: SavedRun, pictures: Labelled) -> Criterion | None:
    """The loss of the training; None where it depends on training labels that are not at hand."""
    config = run.config(["loss"])
    weights = config.parts["loss"].options.get("class_weights", "none")
    labels = pictures.training_labels
    if labels is None:
        if isinstance(weights, str) and weights != "none":
            return None
        labels = torch.empty(0, dtype=torch.int64)
    criterion: Criterion = build_part(config, "loss", labels, run.classes)
    return criterion


def _precision(run: SavedRun, device: torch.device) -> Precise | None:
    """What the run was trained in, on the kind of device that it was trained on; elsewhere what is fast there."""
    about = {} if run.folder is None else read_json(run.folder.about)
    trained_on = str(about.get("device", "")).partition(":")[0]
    return run.precision if trained_on == device.type else None  # type: ignore[return-value]
