"""Class folders: one folder a class, the images in it, and a folder a part around them where there are parts."""

import os
import stat
import unicodedata
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from trainer.data.archive import FOLDER, is_archive, unpacked
from trainer.data.archive import SUFFIXES as ARCHIVES
from trainer.data.assemble import Wishes
from trainer.data.files import File, Files, Look, file_source, names, readable
from trainer.data.formats import SUFFIXES
from trainer.data.group_pattern import group_by_path
from trainer.data.hints import hint, name_label
from trainer.data.keep import Keep
from trainer.data.layout import Labels, find_layout, in_words
from trainer.data.marks import marks
from trainer.data.part_names import parts_of
from trainer.data.source import Source
from trainer.errors import DataError, did_you_mean, told
from trainer.registry import DATA
from trainer.schema import (
    Cache,
    Denoise,
    Fit,
    Folds,
    Level,
    Normalise,
    Pixels,
    Positive,
    Resize,
    UpToOne,
    Validation,
    Whole,
)

_Place = tuple[int, int]
"""Device and inode: which folder it is, by whatever name."""


@DATA.register
def folder(
    *,
    root: str,
    parts: Literal["auto", "none"] | dict[str, str] = "auto",
    label: Literal["auto", "outer", "inner", "name"] = "auto",
    size: Pixels | None = None,
    prepare: Pixels | None = None,
    resize: Resize = "bilinear",
    fit: Fit = "crop",
    crop_share: UpToOne | None = None,
    grey: bool = False,
    denoise: Denoise = "none",
    normalise: Normalise = "auto",
    mean: list[Level] | None = None,
    std: list[UpToOne] | None = None,
    val: Validation | None = None,
    folds: Folds | None = None,
    fold: Whole | None = None,
    group: str | None = None,
    cache: Cache = "auto",
    cache_dir: str | None = None,
    cache_limit: Positive = 20.0,
    on_error: Literal["stop", "skip"] = "stop",
) -> Source:
    """Your own images in class folders: root/train|val|test/CLASS/..., or root/CLASS/... with a share held out.

    root may be a .zip, .tar, .tar.gz or .tgz of such folders: archive.unpacked says what is refused. What is a part and
    what is a class, layout.find_layout says; what is a group, group_pattern. Raises DataError with the path and what to
    do if the folders do not make a set: missing, empty, one class only, or a part with a class that training has not.
    Size and unreadable files are as in files.file_source.
    """
    base, keep = Path(root).expanduser(), Keep(cache, cache_dir, cache_limit)
    least = 1 if val == "none" else 2  # to train on; pictures that are scored may all be of one class
    if is_archive(base):
        found, notes = scan_archive(base, keep.folder / FOLDER, parts, label, least)
    else:
        found, notes = scan(base, parts, label, least)
    if group is not None:
        group_by_path(found, group)
    classes = found["train"].classes
    look = Look(size, prepare, grey, resize, fit, crop_share, on_error)
    wishes = Wishes(val, folds, fold, normalise, mean, std, denoise)
    return file_source(classes, found, look, wishes, keep, notes)


def scan(
    base: Path, parts: str | dict[str, str] = "auto", label: Labels = "auto", least: int = 2
) -> tuple[dict[str, Files], list[str]]:
    """The files of each part ('train' alone where base holds the class folders), and what was left out, one line each.

    least: how many classes there must be. Raises DataError as folder does.
    """
    left_out = _LeftOut()
    layout = find_layout(base, _folders_in(base, label), parts, label)
    places = {path: _place(path) for path in (base, *layout.folders.values(), *layout.apart)}
    above = {*places.values(), *map(_place, base.resolve().parents)}
    found = {part: _scan(path, label, above, left_out) for part, path in layout.folders.items()}
    if layout.inside:
        found = _divided(found["train"], layout.inside, left_out)
    notes = [*left_out.notes(base), *layout.notes]
    if "test" in found and not found["test"].images:
        notes.append(f"{found['test'].root} has no class folders with images, so there is nothing to test on.")
        del found["test"]
    with told(notes, DataError):
        classes = _common_classes(found, least)
    for files in found.values():
        files.classes = classes
    return found, notes


@dataclass
class _LeftOut:
    """What is in the folders and not in the set."""

    counts: Counter[str] = field(default_factory=Counter)
    """By what they are."""
    endings: Counter[str] = field(default_factory=Counter)
    """Of the names of files that are no images by these."""
    empty: list[Path] = field(default_factory=list)
    """Folders without images."""

    def notes(self, base: Path) -> list[str]:
        """A line for each kind."""
        lines = [f"{base}: left out {count} {what}." for what, count in sorted(self.counts.items()) if count]
        if self.endings:
            kinds = names(f"{count} {ending or 'without one'}" for ending, count in self.endings.most_common())
            count = self.endings.total()
            lines.append(f"{base}: left out {count} files that are not images, by their names' ends: {kinds}.")
        if self.empty:
            found = names(str(path.relative_to(base)) for path in self.empty)
            lines.append(f"{base}: left out {len(self.empty)} folders without images, which are no classes: {found}.")
        return lines


def scan_archive(
    archive: Path, cache: Path, parts: str | dict[str, str] = "auto", label: Labels = "auto", least: int = 2
) -> tuple[dict[str, Files], list[str]]:
    """As scan, of what is in an archive, once it is unpacked into cache.

    Archives often hold one folder around all the others: that is gone into.
    """
    place = base = unpacked(archive, cache)
    while (inner := _only_folder(base)) is not None:
        base = inner
    found, notes = scan(base, parts, label, least)
    return found, [f"{archive}: unpacked into {place}, which may be deleted at any time.", *notes]


def _only_folder(base: Path) -> Path | None:
    """The folder inside that stands around all the others; None where there is none."""
    folders = _folders(base)
    wrapped = len(folders) == 1 and not parts_of([folders[0].name]) and _folders(folders[0])
    return folders[0] if wrapped else None


def _folders_in(base: Path, label: Labels) -> list[str]:
    """The names of the folders of a set. Raises DataError where it can be none."""
    if readable(str(base)) != str(base):
        raise DataError(
            f"data.root: the name {readable(str(base))} is not UTF-8, so no record could hold it. Rename it."
        )
    try:
        base.stat()
    except PermissionError as error:
        raise DataError(f"data.root: {base} may not be looked at. Make it readable, or move it.") from error
    except OSError as error:
        raise DataError(f"data.root: there is no folder {base} (looked from {Path.cwd()}).") from error
    if not base.is_dir():
        raise DataError(
            f"data.root: {base} is neither a folder nor an archive that is read here ({', '.join(ARCHIVES)}). "
            "Unpack it, and give the folder that holds the classes."
        )
    folders = _folders(base)
    if not any(_visible(base)):
        raise DataError(f"data.root: {base} is empty. It must hold one folder a class, with images.")
    if not folders and label != "name":
        raise DataError(
            f"data.root: {base} has no folders in it. It must hold one folder a class, with images.{hint(base)}"
        )
    return [path.name for path in folders]


def _scan(root: Path, label: Labels, above: set[_Place], left_out: _LeftOut) -> Files:
    """All images of a part. What is left out is counted by what it is. above: folders that are read by themselves."""
    if label in ("inner", "name"):
        return _scan_all(root, label, above, left_out)
    folders = [path for path in _folders(root) if _place(path) not in above]
    strays = [path for path in set(_visible(root)) - set(folders) if path.suffix.lower() in SUFFIXES and path.is_file()]
    left_out.counts["image files that lie in no class folder"] += len(strays)
    _check_twins(folders)
    same_place: dict[_Place, Path] = {}
    for path in folders:
        twin = same_place.setdefault(_place(path), path)
        if twin is not path:
            raise DataError(f"{twin} and {path} are one folder: one of them is a link to the other. Remove the link.")
    files = Files(root, ())
    for path in sorted(folders, key=lambda path: path.name):
        name = path.name
        inside = list(_images_in(path, f"{name}/", {*above, *same_place}, left_out))
        files.images += sorted(File(name, key, about.st_size, marks(about)) for key, about in inside)
        if inside:
            files.classes += (name,)
        else:
            left_out.empty.append(path)
    return files


def _scan_all(root: Path, label: Labels, above: set[_Place], left_out: _LeftOut) -> Files:
    """All images of a part whose classes are said by the folder right around each image, or by its own name."""
    files = Files(root, ())
    for key, about in sorted(_images_in(root, "", set(above), left_out), key=lambda found: found[0]):
        path = Path(key)
        name = name_label(path.stem) if label == "name" else path.parent.name
        if name:
            files.images.append(File(name, key, about.st_size, marks(about)))
        else:
            what = "whose names say no class" if label == "name" else "that lie in no class folder"
            left_out.counts[f"image files {what}"] += 1
    files.classes = tuple(sorted({str(image.label) for image in files.images}))
    _check_twins([root / name for name in files.classes])
    return files


def _check_twins(folders: list[Path]) -> None:
    same_name: dict[str, Path] = {}
    for path in folders:
        twin = same_name.setdefault(unicodedata.normalize("NFC", path.name).casefold(), path)
        if twin is not path:
            raise DataError(
                f"{twin} and {path} differ only in case or in how accents are encoded. Merge or rename one."
            )


def _divided(whole: Files, inside: dict[str, str], left_out: _LeftOut) -> dict[str, Files]:
    """The files of each part, where the parts lie below the classes: CLASS/train/..., CLASS/test/..."""
    found = {part: Files(whole.root, whole.classes) for part in inside.values()}
    for image in whole.images:
        _, name, *rest = image.key.split("/")
        if rest and name in inside:
            found[inside[name]].images.append(image)
        else:
            left_out.counts["image files that lie in no part of their class"] += 1
    return found


def _images_in(
    path: Path, prefix: str, entered: set[_Place], left_out: _LeftOut
) -> Iterator[tuple[str, os.stat_result]]:
    """(key, about the file) of the images at any depth. Links are followed, but no folder is entered twice."""
    for child in _visible(path):
        try:
            about = child.stat()
        except OSError:
            left_out.counts["links that lead nowhere"] += 1
            continue
        place = about.st_dev, about.st_ino
        if stat.S_ISDIR(about.st_mode) and place in entered:
            left_out.counts["links to a folder that is read already"] += 1
        elif stat.S_ISDIR(about.st_mode):
            entered.add(place)
            yield from _images_in(child, f"{prefix}{child.name}/", entered, left_out)
        elif not stat.S_ISREG(about.st_mode):
            left_out.counts["entries that are neither file nor folder"] += 1
        elif child.suffix.lower() not in SUFFIXES:
            left_out.endings[child.suffix.lower()] += 1
        else:
            yield prefix + child.name, about


def _place(path: Path) -> _Place:
    about = path.stat()
    return about.st_dev, about.st_ino


def _folders(path: Path) -> list[Path]:
    return [child for child in _visible(path) if child.is_dir()]


def _visible(path: Path) -> list[Path]:
    """The entries of a folder in the order of their names, without hidden ones (.ipynb_checkpoints, .DS_Store)."""
    try:
        children = sorted(path.iterdir())
    except OSError as error:
        raise DataError(f"{path}: cannot be listed ({error.strerror}). Make it readable, or move it away.") from error
    children = [child for child in children if not child.name.startswith(".") and child.name != "__MACOSX"]
    if odd := [shown for child in children if (shown := readable(child.name)) != child.name]:
        raise DataError(
            f"{path}: {len(odd)} names in it are not UTF-8, so no record could name them: {names(odd)}. "
            "Rename them, for example with: convmv -r -f latin1 -t utf8 --notest FOLDER"
        )
    return children


def _common_classes(parts: dict[str, Files], least: int) -> tuple[str, ...]:
    """The classes of the training part, after a check that there are two (least), and that no part has another."""
    train = parts["train"]
    if not train.classes:
        raise DataError(
            f"{train.root} has no images in its folders. It must hold one folder a class, with images."
            f"{hint(train.root)}"
        )
    if len(train.classes) < least:
        only = train.root / "".join(train.classes)
        what = f"one class folder, {only.name}" if only.is_dir() else f"{len(train.classes)} classes"
        advice = f" Perhaps data.root={only}?" if only.is_dir() and _folders(only) else hint(only)
        raise DataError(f"{train.root} has only {what}. Two are needed at least.{advice}")
    for part, files in parts.items():
        if extra := sorted(set(files.classes) - set(train.classes)):
            rest = {other: found.root for other, found in parts.items() if other != part}
            words = in_words({other: "." if root == files.root.parent else root.name for other, root in rest.items()})
            raise DataError(
                f"{files.root} has classes that {train.root} has not: {names(extra)}."
                f"{did_you_mean(extra[0], set(train.classes) - set(files.classes))} Add or remove them, or leave "
                f"{files.root.name} out: {words}"
            )
    return train.classes
