"""The last step of every data part: filter, divide, and say what was decided."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from trainer.data.denoise import denoised
from trainer.data.pack import pack_folder
from trainer.data.source import Samples, Source
from trainer.data.splits import cross_validate, validate_on
from trainer.errors import ConfigError
from trainer.schema import Denoise, Normalise, Validation

_DEFAULT_SHARE = 0.1


@dataclass(frozen=True)
class Wishes:
    """What may be asked of any set: how it is divided, and what is done to its pixels."""

    val: Validation = _DEFAULT_SHARE
    folds: int | None = None
    fold: int | None = None
    normalise: Normalise = "mean_std"
    denoise: Denoise = "none"


def assemble(
    classes: Sequence[str],
    parts: Mapping[str, Samples],
    wishes: Wishes,
    *,
    size: int,
    cache: str = "auto",
    notes: Sequence[str] = (),
) -> Source:
    """The set as it is trained on. parts: 'train', and 'val' and 'test' where the set has them of its own.

    Raises ConfigError if two wishes, or a wish and the set, cannot act together.
    """
    _check(wishes, parts)
    parts = {name: denoised(part, wishes.denoise) for name, part in parts.items()}
    train, test = parts["train"], parts.get("test")
    if wishes.folds is not None and wishes.fold is not None:
        train, val, note = cross_validate(wishes.folds, wishes.fold, train)
    elif "val" in parts and wishes.val != "test":
        val, note = parts["val"], f"Validated on the {len(parts['val'])} images of the set's own validation part."
    else:
        train, val, test, note = validate_on(wishes.val, train, test)
        if "val" in parts:
            note += " The set's own validation part is not used."
    said = [*notes, note]
    if cache == "packed":
        said.append(f"Decoded images are kept in {pack_folder()} for later runs; it may be deleted at any time.")
    return Source(tuple(classes), train, val, test, size, cache, wishes.normalise, tuple(said))


def _check(wishes: Wishes, parts: Mapping[str, Samples]) -> None:
    if wishes.folds is None and wishes.fold is not None:
        raise ConfigError(f"data.fold={wishes.fold}: there are no folds. Say how many: data.folds=5")
    if wishes.folds is not None:
        _check_folds(wishes.folds, wishes, parts)
    elif "val" in parts and wishes.val not in (_DEFAULT_SHARE, "test"):
        raise ConfigError(f"data.val={wishes.val}: the set has a validation part of its own. Leave data.val out.")
    if wishes.normalise == "imagenet" and parts["train"].shape[0] != 3:
        raise ConfigError("data.normalise=imagenet: its figures are for three channels. Use mean_std for grey images.")


def _check_folds(folds: int, wishes: Wishes, parts: Mapping[str, Samples]) -> None:
    where = f"data.folds={folds}"
    if wishes.fold is None:
        raise ConfigError(f"{where}: say which of them validates, data.fold=0 to {folds - 1}, or -m and several.")
    if wishes.fold >= folds:
        raise ConfigError(f"data.fold={wishes.fold}: there are only the folds 0 to {folds - 1} (data.folds={folds}).")
    if wishes.val != _DEFAULT_SHARE:
        raise ConfigError(f"{where}: data.val={wishes.val} cannot act, since a fold validates. Leave one of them out.")
    if "val" in parts:
        raise ConfigError(
            f"{where}: the set has a validation part of its own. Move its images to the training part, or leave out "
            "data.folds."
        )
