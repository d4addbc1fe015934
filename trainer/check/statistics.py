"""Whether what is subtracted from the pictures, and what they are divided by, fits them and the weights."""

from collections.abc import Iterator, Sequence
from contextlib import suppress

import torch

from trainer import rng
from trainer.data.keep import Keep
from trainer.data.source import ArraySamples, Figures, Source
from trainer.doctor.finding import Finding
from trainer.errors import DataError
from trainer.feed.normalise import mean_and_std, measure
from trainer.feed.store import open_stores
from trainer.model.expects import Expects

_LOOKED_AT = 256
"""Training pictures that are measured, in 2 s at most: their mean is met to a few hundredths."""
_FAR = 1.0
_TIMES = 2.0
"""How far from 0 the mean of normalised pictures may lie, and how many times too large or small their std may be."""
_FAR_FROM_WEIGHTS = 0.5
_TIMES_OF_WEIGHTS = 1.5
"""The same, beside the figures that the weights were trained with, in units of their std."""


def of_statistics(source: Source, method: str | None, expects: Expects | None) -> Iterator[Finding]:
    """Findings. method: what data.normalise says; None where the set has no such option. expects: what the weights do.

    Nothing where none of the pictures can be read.
    """
    measured, used = _figures(source)
    if measured is None or used is None:
        return
    if expects is not None:
        yield from _beside_weights(used, expects, method)
    elif source.normalise in ("given", "imagenet"):
        yield from _beside_pictures(used, measured)
    elif source.normalise in ("none", "mean"):
        yield Finding(
            "not_normalised",
            "note",
            "Pictures are not brought to mean 0 and std 1: the rate must suit that.",
            f"data.normalise={source.normalise}; they have mean {_shown(measured.mean)}, std {_shown(measured.std)}",
            0.5,
            words="data.normalise=auto",
            practice="D3: per-channel mean and std from the training set",
        )


def _beside_weights(used: Figures, expects: Expects, method: str | None) -> Iterator[Finding]:
    wanted = Figures(_fitted(expects.mean, len(used.mean)), _fitted(expects.std, len(used.std)))
    far, times = _distance(used, wanted)
    if far < _FAR_FROM_WEIGHTS and times < _TIMES_OF_WEIGHTS:
        return
    given = f"data.mean='[{_listed(wanted.mean)}]' data.std='[{_listed(wanted.std)}]'"
    yield Finding(
        "statistics_of_other_weights",
        "warning",
        "The weights were trained on pictures normalised otherwise: what they have learnt does not fit.",
        f"mean {_shown(used.mean)}, std {_shown(used.std)} here; mean {_shown(wanted.mean)}, std {_shown(wanted.std)} "
        f"by {expects.origin}",
        0.9,
        words=given if method in (None, "auto") else f"data.normalise=auto {given}",
        practice="X8: statistics that do not fit",
    )


def _beside_pictures(used: Figures, measured: Figures) -> Iterator[Finding]:
    far, times = _distance(used, measured)
    if far < _FAR and times < _TIMES:
        return
    yield Finding(
        "statistics_of_other_pictures",
        "warning",
        "The figures that pictures are normalised with are not theirs: the model sees them too dark, bright or flat.",
        f"mean {_shown(used.mean)}, std {_shown(used.std)} are used; the training pictures have mean "
        f"{_shown(measured.mean)}, std {_shown(measured.std)}",
        0.9,
        words="data.normalise=mean_std data.mean=null data.std=null",
        practice="X8: statistics that do not fit the data",
    )


def _figures(source: Source) -> tuple[Figures | None, Figures | None]:
    """The figures of a sample of the training pictures, and those that the run uses."""
    images, labels, keys = [], [], source.train.keys
    for index in rng.permutation(len(source.train), "check", "statistics")[:_LOOKED_AT].tolist():
        with suppress(DataError):  # told of among the files
            images.append(source.train.image(index))
            labels.append(index)
    if not images:
        return None, None
    sample = ArraySamples(torch.stack(images), source.train.labels[labels], [keys[index] for index in labels])
    (store,), _ = open_stores([sample], Keep("ram"), workers=0)
    mean, std = mean_and_std(store)
    used = measure(store, source)
    if used.mean_image is not None:
        centre = tuple(used.mean_image.mean((1, 2)).tolist())
        return Figures(tuple(mean.tolist()), tuple(std.tolist())), Figures(centre, used.std)
    return Figures(tuple(mean.tolist()), tuple(std.tolist())), Figures(used.mean, used.std)


def _distance(used: Figures, wanted: Figures) -> tuple[float, float]:
    """How far the mean is off, in units of the std, and by how many times the std, of the channel that is worst."""
    far = max(abs(one - other) / std for one, other, std in zip(used.mean, wanted.mean, wanted.std, strict=True))
    times = max(max(one / other, other / one) for one, other in zip(used.std, wanted.std, strict=True))
    return far, times


def _fitted(figures: Sequence[float], channels: int) -> tuple[float, ...]:
    """Of weights for colour, what grey pictures are normalised with."""
    return tuple(figures) if len(figures) == channels else (sum(figures) / len(figures),) * channels


def _shown(figures: Sequence[float]) -> str:
    return " ".join(f"{figure:.3f}" for figure in figures)


def _listed(figures: Sequence[float]) -> str:
    return ",".join(f"{figure:.4g}" for figure in figures)
