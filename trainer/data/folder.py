"""Class folders: one folder a class, the images in it, and a folder a part around them where there are parts."""

import os
import stat
import unicodedata
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from trainer.data.archive import FOLDER, is_archive, unpacked
from trainer.data.archive import SUFFIXES as ARCHIVES
from trainer.data.assemble import Wishes
from trainer.data.decode import SUFFIXES
from trainer.data.files import File, Files, Look, file_source, names, readable
from trainer.data.keep import Keep
from trainer.data.source import Source
from trainer.errors import DataError
from trainer.registry import DATA
from trainer.schema import Cache, Count, Denoise, Fit, Folds, Normalise, Positive, Resize, Validation, Whole

PARTS = {
    "train": "train", "training": "train",
    "val": "val", "valid": "val", "validation": "val",
    "test": "test", "testing": "test",
}  # fmt: skip
_Place = tuple[int, int]
"""Device and inode: which folder it is, by whatever name."""


@DATA.register
def folder(
    *,
    root: str,
    size: Count | None = None,
    prepare: Count | None = None,
    resize: Resize = "bilinear",
    fit: Fit = "crop",
    grey: bool = False,
    denoise: Denoise = "none",
    normalise: Normalise = "mean_std",
    val: Validation = 0.1,
    folds: Folds | None = None,
    fold: Whole | None = None,
    cache: Cache = "auto",
    cache_dir: str | None = None,
    cache_limit: Positive = 20.0,
    on_error: Literal["stop", "skip"] = "stop",
) -> Source:
    """Your own images in class folders: root/train|val|test/CLASS/..., or root/CLASS/... with a share held out.

    root may be a .zip, .tar, .tar.gz or .tgz of such folders: archive.unpacked says what is refused. Raises DataError
    with the path and what to do if the folders do not make a set: missing, empty, one class only, or parts whose
    classes differ. Size and unreadable files are as in files.file_source.
    """
    base, keep = Path(root).expanduser(), Keep(cache, cache_dir, cache_limit)
    least = 1 if val == "none" else 2  # to train on; pictures that are scored may all be of one class
    found, notes = scan_archive(base, keep.folder / FOLDER, least) if is_archive(base) else scan(base, least)
    classes = found["train"].classes
    look = Look(size, prepare, grey, resize, fit, on_error)
    wishes = Wishes(val, folds, fold, normalise, denoise)
    return file_source(classes, found, look, wishes, keep, notes)


def scan(base: Path, least: int = 2) -> tuple[dict[str, Files], list[str]]:
    """The files of each part ('train' alone where base holds the class folders), and what was left out, one line each.

    least: how many classes there must be. Raises DataError as folder does.
    """
    left_out = Counter[str]()
    folders = _find_parts(base)
    above = {_place(path) for path in (base.resolve(), *base.resolve().parents, *folders.values())}
    parts = {part: _scan(path, above, left_out) for part, path in folders.items()}
    notes = [f"{base}: left out {count} {what}." for what, count in sorted(left_out.items()) if count]
    beside = [path.name for path in _folders(base) if path not in folders.values()]
    if beside and folders["train"] != base:
        notes.append(f"{base}: left out {len(beside)} folders beside {folders['train'].name}: {names(beside)}.")
    if "test" in parts and not parts["test"].classes:
        notes.append(f"{folders['test']} has no class folders, so there is nothing to test on.")
        del parts["test"]
    classes = _common_classes(parts, least)
    for files in parts.values():
        files.classes = classes
    return parts, notes


def scan_archive(archive: Path, cache: Path, least: int = 2) -> tuple[dict[str, Files], list[str]]:
    """As scan, of what is in an archive, once it is unpacked into cache.

    Archives often hold one folder around all the others: that is gone into.
    """
    place = base = unpacked(archive, cache)
    while (inner := _only_folder(base)) is not None:
        base = inner
    parts, notes = scan(base, least)
    return parts, [f"{archive}: unpacked into {place}, which may be deleted at any time.", *notes]


def _only_folder(base: Path) -> Path | None:
    """The folder inside that stands around all the others; None where there is none."""
    folders = _folders(base)
    wrapped = len(folders) == 1 and folders[0].name.lower() not in PARTS and _folders(folders[0])
    return folders[0] if wrapped else None


def _find_parts(base: Path) -> dict[str, Path]:
    """The folder of each part; {'train': base} where base holds the class folders themselves."""
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
    if not folders:
        raise DataError(f"data.root: {base} has no folders in it. It must hold one folder a class, with images.")
    found: dict[str, Path] = {}
    for path in folders:
        part = PARTS.get(path.name.lower())
        if part is None:
            continue
        if part in found:
            raise DataError(f"data.root: {found[part]} and {path} both look like the {part} part. Rename one of them.")
        found[part] = path
    if "train" in found and _folders(found["train"]):
        return found
    if len(found) == len(folders):
        found_names = names(path.name for path in folders)
        raise DataError(f"data.root: {base} has {found_names} but no train/CLASS folders. Add them.")
    return {"train": base}


def _scan(root: Path, above: set[_Place], left_out: Counter[str]) -> Files:
    """All images of a part. What is left out is counted by what it is. above: folders that no link may lead into."""
    folders = _folders(root)
    strays = [path for path in set(_visible(root)) - set(folders) if path.suffix.lower() in SUFFIXES]
    left_out["image files that lie in no class folder"] += len(strays)
    same_name: dict[str, Path] = {}
    same_place: dict[_Place, Path] = {}
    for path in folders:
        twin = same_name.setdefault(unicodedata.normalize("NFC", path.name).casefold(), path)
        if twin is not path:
            raise DataError(
                f"{twin} and {path} differ only in case or in how accents are encoded. Merge or rename one."
            )
        twin = same_place.setdefault(_place(path), path)
        if twin is not path:
            raise DataError(f"{twin} and {path} are one folder: one of them is a link to the other. Remove the link.")
    files = Files(root, tuple(sorted(path.name for path in folders)))
    for name in files.classes:
        inside = _images_in(root / name, f"{name}/", {*above, *same_place}, left_out)
        files.images += sorted(File(name, key, about.st_size, about.st_mtime_ns) for key, about in inside)
    return files


def _images_in(
    path: Path, prefix: str, entered: set[_Place], left_out: Counter[str]
) -> Iterator[tuple[str, os.stat_result]]:
    """(key, about the file) of the images at any depth. Links are followed, but no folder is entered twice."""
    for child in _visible(path):
        try:
            about = child.stat()
        except OSError:
            left_out["links that lead nowhere"] += 1
            continue
        place = about.st_dev, about.st_ino
        if stat.S_ISDIR(about.st_mode) and place in entered:
            left_out["links to a folder that is read already"] += 1
        elif stat.S_ISDIR(about.st_mode):
            entered.add(place)
            yield from _images_in(child, f"{prefix}{child.name}/", entered, left_out)
        elif not stat.S_ISREG(about.st_mode):
            left_out["entries that are neither file nor folder"] += 1
        elif child.suffix.lower() not in SUFFIXES:
            left_out["files that are not images, by their names' ends"] += 1
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
    """The classes of the training part, after a check that there are two (least), and every part has the same."""
    train = parts["train"]
    if len(train.classes) == 1 < least:
        only = train.root / train.classes[0]
        hint = f" Perhaps data.root={only}?" if _folders(only) else ""
        raise DataError(f"{train.root} has only one class folder, {train.classes[0]}. Two are needed at least.{hint}")
    for files in parts.values():
        if extra := sorted(set(files.classes) - set(train.classes)):
            raise DataError(f"{files.root} has classes that {train.root} has not: {names(extra)}. Add or remove them.")
    return train.classes
