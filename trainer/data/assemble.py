"""The last step of every data part: filter, divide, and say what was decided."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from trainer.contradictions import of_other_channels
from trainer.data.decode import Frame
from trainer.data.denoise import denoised
from trainer.data.groups import unjudged
from trainer.data.keep import Keep
from trainer.data.source import Figures, Samples, Source, images_of_each
from trainer.data.splits import cross_validate, validate_on
from trainer.data.wrong_labels import mislabelled
from trainer.errors import ConfigError, DataError, some
from trainer.schema import Denoise, Normalise, Normalised, Validation
from trainer.size import Size
from trainer.stored import DEFAULT_SHARE


@dataclass(frozen=True)
class Wishes:
    """What may be asked of a set: how it is divided, and what is done to its pixels and to its labels."""

    val: Validation | None = None
    folds: int | None = None
    fold: int | None = None
    normalise: Normalise = "auto"
    mean: Sequence[float] | None = None
    std: Sequence[float] | None = None
    denoise: Denoise = "none"
    wrong_labels: float = 0.0

    @property
    def figures(self) -> Figures | None:
        """Those that are given."""
        assert (self.mean is None) == (self.std is None)
        return Figures(tuple(self.mean), tuple(self.std)) if self.mean is not None and self.std is not None else None

    @property
    def method(self) -> Normalised:
        """What auto comes to."""
        auto: Normalised = "mean_std" if self.mean is None else "given"
        return auto if self.normalise == "auto" else self.normalise


def assemble(
    classes: Sequence[str],
    parts: Mapping[str, Samples],
    wishes: Wishes,
    *,
    size: Size,
    keep: Keep | None = None,
    frame: Frame | None = None,
    notes: Sequence[str] = (),
) -> Source:
    """The set as it is trained on. parts: 'train', and 'val' and 'test' where the set has them of its own.

    keep and frame: None where the pixels are at hand anyway. Raises ConfigError if two wishes, or a wish and the set,
    cannot act together.
    """
    _check(wishes, parts)
    parts = {name: denoised(part, wishes.denoise) for name, part in parts.items()}
    train, test = parts["train"], parts.get("test")
    if wishes.folds is not None:
        assert wishes.fold is not None
        train, val, note = cross_validate(wishes.folds, wishes.fold, train)
    elif wishes.val == "none":
        val, note = parts.get("val", train), "Nothing is held out (data.val=none)."
    elif "val" in parts and wishes.val != "test":
        val, note = parts["val"], f"Validated on the {len(parts['val']):,} images of the set's own validation part."
    else:
        train, val, test, note = validate_on(DEFAULT_SHARE if wishes.val is None else wishes.val, train, test)
        if "val" in parts:
            note += " The set's own validation part is not used."
    divided_whole = train.groups is not None and train is not parts["train"]
    said = [*notes, note, *(unjudged if divided_whole else _alone)(classes, train, val)]
    if wishes.wrong_labels:  # after the division: what validates and tests stays right
        train, planted = mislabelled(train, wishes.wrong_labels, len(classes))
        said.append(planted)
    for part, samples in (("validation", val), ("test", test)):
        if samples is not None and not (samples.labels >= 0).any():
            raise DataError(f"The {part} part has {len(samples)} images and no label, so it can judge nothing.")
    return Source(
        tuple(classes),
        train,
        val,
        test,
        size,
        keep or Keep(),
        wishes.method,
        tuple(said),
        frame=frame,
        denoise=wishes.denoise,
        figures=wishes.figures,
    )


def _alone(classes: Sequence[str], train: Samples, val: Samples) -> list[str]:
    """A line on the classes with a single image, where images are divided: it trains, and nothing validates them."""
    trained, validated = (images_of_each(part.labels, len(classes)).tolist() for part in (train, val))
    alone = [name for name, count, other in zip(classes, trained, validated, strict=True) if count == 1 and not other]
    count = f"{len(alone)} of {len(classes)}"
    return [f"Classes with a single image, which trains and never validates: {some(alone)} ({count})."] if alone else []


def _check(wishes: Wishes, parts: Mapping[str, Samples]) -> None:
    """What config.check cannot know without the data."""
    if "val" in parts and wishes.folds is not None:
        raise ConfigError(
            f"data.folds={wishes.folds}: the set has a validation part of its own. Move its images to the training "
            "part, or leave out data.folds."
        )
    if "val" in parts and wishes.val not in (None, "test", "none"):
        raise ConfigError(f"data.val={wishes.val}: the set has a validation part of its own. Leave data.val out.")
    if wishes.normalise == "imagenet" and parts["train"].shape[0] != 3:
        raise ConfigError("data.normalise=imagenet: its figures are for three channels. Use mean_std for grey images.")
    if wishes.mean is not None and (lines := of_other_channels(wishes.mean, parts["train"].shape[0])):
        raise ConfigError("\n".join(lines))
