"""What the frozen body of a run makes of its training images: worked out once, and kept for the runs to come."""

import hashlib
import inspect
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from trainer.config import Config
from trainer.data.keep import Keep
from trainer.data.source import Samples, Subset
from trainer.data.splits import share_of
from trainer.engine.device import ahead
from trainer.engine.interrupt import Interrupt
from trainer.engine.precision import Precision
from trainer.engine.probe import Features, Probe
from trainer.errors import ConfigError, DataError
from trainer.feed.batches import Batch, EvalBatches, TrainBatches
from trainer.feed.features import path_of, read_features, write_features
from trainer.feed.pack import Progress, header_of
from trainer.feed.preprocessing import Preprocessing
from trainer.finetune.probing import Probing
from trainer.model.staged import evaluating
from trainer.registry import MODELS
from trainer.system import fault
from trainer.task.task import Task

_FORMAT = 1
"""Part of the names of kept files: to be raised when features come to be worked out otherwise."""
_HELD_OUT = 0.2
Body = Callable[[Tensor], Tensor]
"""Images as the model sees them, (B, C, H, W), on its device -> what its last layer is given, (B, D)."""


@dataclass(frozen=True)
class Pictures:
    """The training images of a run, as they are and augmented, and what is done to them."""

    samples: Samples
    plain: EvalBatches
    augmented: TrainBatches
    preprocessing: Preprocessing

    def view(self, number: int) -> Iterator[Batch]:
        """The images as they are for number 0, and as an epoch of training would see them for the others."""
        return iter(self.augmented.epoch(number - 1) if number else self.plain)


@dataclass(frozen=True)
class BodyOf:
    """All of a run's model but its last layer. kernels: what computes it."""

    layer: str
    """The name of the last layer."""
    precision: Precision
    kernels: str

    def __call__(self, model: nn.Module) -> Body:
        """In evaluation mode, with the weights that the model has."""
        last = model.get_submodule(self.layer)

        @torch.no_grad()
        def features(images: Tensor) -> Tensor:
            given: list[Tensor] = []
            hook = last.register_forward_pre_hook(lambda _, inputs: given.append(inputs[0]))
            try:
                with evaluating(model), self.precision.autocast():
                    model(images)
            finally:
                hook.remove()
            return given[0]

        return features


@dataclass(frozen=True)
class FrozenFeatures:
    """Works out what a body makes of the training images, or reads it where it is kept."""

    config: Config
    pictures: Pictures
    views: int
    """Of each image, augmented, besides the image as it is."""
    body: BodyOf
    keep: Keep
    progress: Progress

    def __call__(self, model: nn.Module, interrupt: Interrupt) -> Features:
        """View by view, so that what is kept of one serves any number of them."""
        begun, origin, views = time.perf_counter(), "", []
        keeps = self.keep.cache in ("auto", "disk", "device")
        what = self._what(model) if keeps else []
        for view in range(1 + self.views):
            path = path_of(self.keep.folder, [*what, *self._what_view(view)]) if keeps else None
            kept = read_features(path) if path else None
            if kept is not None:
                features = torch.from_numpy(kept)
            else:
                batches = interrupt.watch(self._counted(self.pictures.view(view)))
                features = features_of(self.body(model), batches, self.body.precision.device)
                origin = f"worked out in {time.perf_counter() - begun:.1f} s{_kept(path, features)}"
            fault.reach("features", view)
            views.append(features)
        return Features(torch.stack(views), origin or "kept from before")

    def _what(self, model: nn.Module) -> list[object]:
        """What decides the features of the images as they are, to the last bit."""
        choice, settings, precision = self.config.parts["model"], self.config.settings, self.body.precision
        options = {key: value for key, value in choice.options.items() if key != "weights"}
        builder = MODELS.builder(choice.name, settings.plugins)
        return [
            _FORMAT,
            _sha256_of_weights(model, self.body.layer),
            (choice.name, options, Path(inspect.getfile(builder)).read_text(encoding="utf-8"), str(model)),
            _versions(model),
            (str(precision.device), precision.name, self.body.kernels, settings.channels_last),
            (torch.get_num_threads(), torch.backends.cpu.get_cpu_capability(), settings.batch_size),
            (self.pictures.preprocessing.plain(), header_of(self.pictures.samples).fingerprint),
        ]

    def _what_view(self, view: int) -> list[object]:
        """And what decides the view of that number besides."""
        aug, augmented = self.config.parts["aug"], self.pictures.augmented
        neighbours = [len(batch) for batch in augmented.orders(0)]
        return [view, augmented.seed, neighbours, aug.name, aug.options] if view else []

    def _counted(self, batches: Iterable[Batch]) -> Iterator[Batch]:
        """The same, with the images that were handed out told."""
        done, total = 0, len(self.pictures.samples)
        for batch in batches:
            yield batch
            done += len(batch.indices)
            self.progress("Looking at images", done, total)


def probe_of(probing: Probing, task: Task, features: FrozenFeatures) -> Probe:
    """The fit of the head.

    Raises ConfigError if its views would be mixed, and DataError if there are too few images to hold some out.
    """
    samples = features.pictures.samples
    if probing.views and features.pictures.augmented.mix is not None:
        raise ConfigError(
            "finetune.views: an image that aug.mixup or aug.cutmix has mixed with others is no view of its own, and is "
            "not kept. Set both to 0, or finetune.views."
        )
    labelled = task.has_label(samples.labels).nonzero().flatten()
    _, out = share_of(Subset(samples, labelled), _HELD_OUT)
    if not len(out):
        alone = (
            "no class has two. Add images" if samples.groups is None else "each group holds a class. Say smaller ones"
        )
        raise DataError(
            f"finetune: a probe holds a fifth of the training images out to choose its L2 by, and {alone}, or use "
            "finetune=head_first."
        )
    return Probe(features.body.layer, features, samples.labels, labelled[out], probing.alone)


def last_layer(model: nn.Module, images: Tensor) -> str:
    """The name of the linear layer that gives the model's logits. images: a few, as it sees them.

    Raises ConfigError if something else gives them.
    """
    linear = [name for name, layer in model.named_modules() if isinstance(layer, nn.Linear)]
    name = linear[-1] if linear else ""
    last, given = model.get_submodule(name), list[Tensor]()
    hook = last.register_forward_hook(lambda _, inputs, out: given.append(out))
    with torch.no_grad(), evaluating(model):
        logits = model(images)
    hook.remove()
    gives_them = len(given) == 1 and given[0].data_ptr() == logits.data_ptr()
    if isinstance(last, nn.Linear) and last.bias is not None and gives_them:
        return name
    raise ConfigError(
        "finetune: a probe fits a linear last layer with a bias, and this model ends otherwise. "
        "Use finetune=head_first finetune.frozen_epochs=all."
    )


def features_of(body: Body, batches: Iterable[Batch], device: torch.device) -> Tensor:
    """(N, D) float32 on the CPU, in the order of the images' indices."""
    shown = [(batch.indices, body(batch.images).float()) for batch in ahead(batches, device)]
    indices, features = map(torch.cat, zip(*shown, strict=True))
    return features.cpu()[indices.argsort()]


def _versions(model: nn.Module) -> list[tuple[str, str]]:
    """Of the packages that the model's layers come from."""
    packages = sorted({type(layer).__module__.partition(".")[0] for layer in model.modules()})
    return [(name, str(getattr(sys.modules[name], "__version__", ""))) for name in packages]


def _sha256_of_weights(model: nn.Module, layer: str) -> str:
    """Over all tensors of the body."""
    digest = hashlib.sha256()
    for name, tensor in model.state_dict().items():
        if name not in (f"{layer}.weight", f"{layer}.bias"):
            digest.update(repr((name, tensor.dtype, tuple(tensor.shape))).encode())
            digest.update(tensor.cpu().contiguous().flatten().view(torch.uint8).numpy().data)
    return digest.hexdigest()


def _kept(path: Path | None, features: Tensor) -> str:
    """Keeps them, and says so."""
    if path is None:
        return ""
    try:
        write_features(path, features.numpy())
    except OSError as error:
        return f", but not kept ({path.parent}: {error.strerror})"
    return ", and kept for later runs"
