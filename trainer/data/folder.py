"""Class folders: one folder a class, the images in it, and a folder a part around them where there are parts."""

import hashlib
import os
import stat
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median_low
from typing import Literal

import torch
from torch import Tensor

from trainer.data.decode import SUFFIXES, decode, short_side
from trainer.data.source import Samples, Source
from trainer.data.splits import validate_on
from trainer.data.store import listing
from trainer.errors import DataError
from trainer.registry import DATA
from trainer.schema import Count, Share

_PARTS = {
    "train": "train", "training": "train",
    "val": "val", "valid": "val", "validation": "val",
    "test": "test", "testing": "test",
}  # fmt: skip
_SIZES_MEASURED = 200
_LARGEST_OWN_SIZE = 128
_SPARE = 1.25
"""How much larger than the model's input the prepared images may be: room for crops and turns, without aliasing."""


@DATA.register
def folder(
    *,
    root: str,
    size: Count | None = None,
    grey: bool = False,
    val: Share | Literal["test"] = 0.1,
    cache: Literal["auto", "ram", "none"] = "auto",
    on_error: Literal["stop", "skip"] = "stop",
) -> Source:
    """Your own images in class folders: root/train|val|test/CLASS/..., or root/CLASS/... with a share held out.

    size None: the median short side of the training images, at most 128. Raises DataError with the path and what to do
    if the folders do not make a set: missing, empty, one class only, or parts whose classes differ. A file that
    cannot be read stops the run when it is decoded; with on_error='skip' every file is tried first, which takes as
    long as one epoch's reading, and bad ones are left out and named in the notes.
    """
    base = Path(root).expanduser()
    found = _find_parts(base)
    left_out = Counter[str]()
    parts = {part: _scan(path, left_out) for part, path in found.items()}
    notes = [f"{base}: left out {count} {what}." for what, count in sorted(left_out.items())]
    if "test" in parts and not parts["test"].classes:
        notes.append(f"{found['test']} has no class folders, so there is nothing to test on.")
        del parts["test"]
    classes = _common_classes(parts)
    if on_error == "skip":
        notes += [note for files in parts.values() for note in _drop_unreadable(files)]
    for files in parts.values():
        _check_filled(files, classes)

    median = _median_short_side(parts["train"].paths)
    seen = size or min(median, _LARGEST_OWN_SIZE)
    side = min(max(median, seen), round(_SPARE * seen))
    notes.append(
        f"Images are resized to {side} x {side} (short side, then the central square); the model sees {seen} x {seen}. "
        f"The training images' median short side is {median}."
    )
    samples: dict[str, Samples] = {part: files.samples(classes, side, grey) for part, files in parts.items()}
    train, test = samples["train"], samples.get("test")
    if "val" in samples and val != "test":
        validation = samples["val"]
        notes.append(f"Validated on the {len(validation)} images of {found['val']}; data.val does not act.")
    else:
        train, validation, test, note = validate_on(val, train, test)
        notes.append(note)
        if "val" in samples:
            notes.append(f"{found['val']} is not used (data.val=test).")
    return Source(classes, train, validation, test, seen, cache, tuple(notes))


@dataclass(frozen=True)
class FileSamples:
    """Images in files below root, decoded when they are asked for; keys are their paths below it."""

    root: Path
    keys: Sequence[str]
    labels: Tensor
    num_bytes: Sequence[int]
    side: int
    grey: bool

    @property
    def shape(self) -> tuple[int, int, int]:
        return (1 if self.grey else 3), self.side, self.side

    def image(self, index: int) -> Tensor:
        return decode(self.root / self.keys[index], grey=self.grey, side=self.side)

    def digest(self) -> bytes:
        return hashlib.sha256(repr(list(self.num_bytes)).encode()).digest()

    def __len__(self) -> int:
        return len(self.keys)


@dataclass
class _Files:
    """What one part's folder holds: its class folders, and (class, key, bytes) of each image, sorted."""

    root: Path
    classes: tuple[str, ...]
    images: list[tuple[str, str, int]] = field(default_factory=list)

    @property
    def paths(self) -> list[Path]:
        return [self.root / key for _, key, _ in self.images]

    def samples(self, classes: tuple[str, ...], side: int, grey: bool) -> FileSamples:
        index_of = {name: index for index, name in enumerate(classes)}
        labels = torch.tensor([index_of[name] for name, _, _ in self.images])
        keys, num_bytes = [key for _, key, _ in self.images], [size for _, _, size in self.images]
        return FileSamples(self.root, keys, labels, num_bytes, side, grey)


def _find_parts(base: Path) -> dict[str, Path]:
    """The folder of each part; {'train': base} where base holds the class folders themselves."""
    if not base.exists():
        raise DataError(f"data.root: there is no folder {base} (looked from {Path.cwd()}).")
    if not base.is_dir():
        raise DataError(f"data.root: {base} is not a folder. Unpack it, and give the folder that holds the classes.")
    folders = [path for path in _visible(base) if path.is_dir()]
    if not folders:
        raise DataError(f"data.root: {base} has no folders in it. It must hold one folder a class, with images.")
    found: dict[str, Path] = {}
    for path in folders:
        part = _PARTS.get(path.name.lower())
        if part is None:
            continue
        if part in found:
            raise DataError(f"data.root: {found[part]} and {path} both look like the {part} part. Rename one of them.")
        found[part] = path
    if "train" in found and any(path.is_dir() for path in _visible(found["train"])):
        return found
    if len(found) == len(folders):
        raise DataError(f"data.root: {base} has {_names(path.name for path in folders)} but no train/CLASS folders.")
    return {"train": base}


def _scan(root: Path, left_out: Counter[str]) -> _Files:
    """All images of a part. What is left out is counted by what it is."""
    folders = []
    for path in _visible(root):
        if path.is_dir():
            folders.append(path)
        elif path.suffix.lower() in SUFFIXES:
            left_out["image files that lie in no class folder"] += 1
    twins: dict[str, Path] = {}
    for path in folders:
        twin = twins.setdefault(unicodedata.normalize("NFC", path.name).casefold(), path)
        if twin is not path:
            raise DataError(
                f"{twin} and {path} differ only in case or in how accents are encoded. Merge or rename one."
            )
    files = _Files(root, tuple(sorted(path.name for path in folders)))
    for name in files.classes:
        inside = _images_in(root / name, f"{name}/", set(), left_out)
        files.images += sorted((name, key, num_bytes) for key, num_bytes in inside)
    return files


def _images_in(
    path: Path, prefix: str, visited: set[tuple[int, int]], left_out: Counter[str]
) -> Iterator[tuple[str, int]]:
    """(key, bytes) of the images at any depth. Links are followed, but no folder is entered twice."""
    place = path.stat()
    if (place.st_dev, place.st_ino) in visited:
        left_out["links to a folder that was read already"] += 1
        return
    visited.add((place.st_dev, place.st_ino))
    for child in _visible(path):
        try:
            about = child.stat()
        except OSError:
            left_out["links that lead nowhere"] += 1
            continue
        if stat.S_ISDIR(about.st_mode):
            yield from _images_in(child, f"{prefix}{child.name}/", visited, left_out)
        elif not stat.S_ISREG(about.st_mode):
            left_out["entries that are neither file nor folder"] += 1
        elif child.suffix.lower() not in SUFFIXES:
            left_out["files that are not images, by their names' ends"] += 1
        else:
            yield prefix + child.name, about.st_size


def _visible(path: Path) -> list[Path]:
    """The entries of a folder in the order of their names, without hidden ones (.ipynb_checkpoints, .DS_Store)."""
    try:
        children = sorted(path.iterdir())
    except OSError as error:
        raise DataError(f"{path}: cannot be listed ({error.strerror}).") from error
    return [child for child in children if not child.name.startswith(".") and child.name != "__MACOSX"]


def _common_classes(parts: dict[str, _Files]) -> tuple[str, ...]:
    """The classes of the training part, after a check that there are two, and that every part has the same."""
    train = parts["train"]
    if len(train.classes) == 1:
        only = train.root / train.classes[0]
        hint = f" Perhaps data.root={only}?" if any(path.is_dir() for path in _visible(only)) else ""
        raise DataError(f"{train.root} has only one class folder, {train.classes[0]}. Two are needed at least.{hint}")
    for files in parts.values():
        if extra := sorted(set(files.classes) - set(train.classes)):
            raise DataError(f"{files.root} has classes that {train.root} has not: {_names(extra)}. Add or remove them.")
    return train.classes


def _check_filled(files: _Files, classes: tuple[str, ...]) -> None:
    filled = {name for name, _, _ in files.images}
    if missing := [name for name in classes if name not in filled]:
        raise DataError(
            f"{files.root} has no images of {_names(missing)}. Add some (of {' '.join(SUFFIXES)}), "
            "or remove the class folder from every part."
        )


def _drop_unreadable(files: _Files) -> list[str]:
    """Removes the images that cannot be decoded, and says which."""

    def failure(path: Path) -> str | None:
        try:
            decode(path)
        except DataError as error:
            return str(error)
        return None

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        failures = list(pool.map(failure, files.paths))
    total = len(files.images)
    files.images = [image for image, failed in zip(files.images, failures, strict=True) if failed is None]
    named = [failed for failed in failures if failed is not None]
    return [f"Left out (data.on_error=skip): {listing(named, total)}"] if named else []


def _median_short_side(paths: Sequence[Path]) -> int:
    """Of a fixed sample, read from the headers. A file without a header to read is left for the decoding to report."""
    sides: list[int] = []
    failures: list[DataError] = []
    for path in paths[:: -(-len(paths) // _SIZES_MEASURED)]:
        try:
            sides.append(short_side(path))
        except DataError as error:
            failures.append(error)
    if not sides:
        raise failures[0]
    return median_low(sides)


def _names(names: Iterable[str]) -> str:
    listed = list(names)
    return ", ".join(listed[:10]) + (f" and {len(listed) - 10} more" if len(listed) > 10 else "")
