"""One checksum of a data set: a run stores it, and a resumed run compares it."""

import hashlib

import torch

from trainer.data.source import Source


def fingerprint(source: Source) -> str:
    """sha256 in hex over the class names and each part's shape, keys, labels and what its pixels come from.

    It does not depend on where the set lies. Files count with their name and size, not with their content: reading a
    large set twice would cost more than the rare edit that keeps a file's size.
    """
    digest = hashlib.sha256()

    def add(material: bytes) -> None:
        digest.update(len(material).to_bytes(8, "little") + material)  # the length keeps neighbours apart

    for name in source.classes:
        add(name.encode(errors="surrogateescape"))
    for part in (source.train, source.val, source.test):
        if part is None:
            add(b"no such part")
            continue
        add(repr(part.shape).encode())
        add("\0".join(part.keys).encode(errors="surrogateescape"))
        add(part.labels.to(torch.int64).numpy().tobytes())
        add(part.digest())
    return digest.hexdigest()
