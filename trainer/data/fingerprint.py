"""Checksums of a data set and of its parts: a run stores them, and a resumed run compares them."""

import hashlib
from collections.abc import Iterable, Iterator

import torch

from trainer.data.source import Samples, Source


def fingerprint(source: Source) -> str:
    """sha256 in hex over the class names and each part's shape, keys, labels and what its pixels come from.

    It does not depend on where the set lies. Files count with their name and size, not with their content: reading a
    large set twice would cost more than the rare edit that keeps a file's size.
    """
    materials = [name.encode(errors="surrogateescape") for name in source.classes]
    for part in (source.train, source.val, source.test):
        materials += [b"no such part"] if part is None else [repr(part.shape).encode(), *_materials(part)]
    return _sha256(materials)


def part_fingerprint(part: Samples) -> str:
    """The same over one part alone: by it a run knows whether its scores are of the same images."""
    return _sha256(_materials(part))


def _materials(part: Samples) -> Iterator[bytes]:
    yield "\0".join(part.keys).encode(errors="surrogateescape")
    yield part.labels.to(torch.int64).numpy().tobytes()
    yield part.digest()


def _sha256(materials: Iterable[bytes]) -> str:
    digest = hashlib.sha256()
    for material in materials:
        digest.update(len(material).to_bytes(8, "little") + material)  # the length keeps neighbours apart
    return digest.hexdigest()
