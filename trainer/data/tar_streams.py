"""Tar shards that come by over the network, or from a program: read from front to back by the package webdataset."""

from collections.abc import Generator, Iterator, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from trainer.data.extents import about
from trainer.data.files import readable
from trainer.data.passing import Passed, Passing, passed_through
from trainer.data.shards import Asked, Rows, fields_of, label_in, picture_in
from trainer.errors import DataError
from trainer.system.signals import held_back

COMMAND = "pipe:"
"""Before a command that gives shards."""


@dataclass(frozen=True)
class PassingShards:
    """How shards are read that are addresses, files, or 'pipe:' and a command.

    cache: where what was found in them is kept. buffer, interleave: Passing's reach and interleave.
    """

    package: ModuleType
    asked: Asked
    cache: Path
    buffer: int
    interleave: int

    def found(self, shards: Sequence[str]) -> tuple[list[Rows], Passing]:
        """For each shard its rows, and what reads all of them. Raises DataError with one that breaks off."""

        def read(number: int) -> Generator[Passed, None, None]:
            files: dict[str, bytes] | None = None
            for key, files in self._samples(shards[number]):
                names = {ending: f"{key}.{ending}" for ending in files}
                ending = picture_in(names, self.asked)
                label = label_in(names, files.__getitem__, self.asked)
                yield Passed(readable(names[ending or next(iter(files))]), files[ending] if ending else b"", label)
            if files is None:
                raise DataError(f"{shards[number]}: no sample is in it, which is files such as 0001.jpg and 0001.cls.")

        rows = [
            passed_through(read, number, (shard, about(Path(shard)), self.asked), self.cache)
            for number, shard in enumerate(shards)
        ]
        size, side = (np.concatenate([each[column] for each in rows]) for column in ("size", "side"))
        return rows, Passing(read, tuple(map(len, rows)), size, side, self.buffer, self.interleave)

    def contents(self, shard: str) -> str:
        """What the first sample is made of, in words."""
        _, files = next(self._samples(shard))
        return fields_of(files, files.__getitem__)

    def _samples(self, shard: str) -> Iterator[tuple[str, dict[str, bytes]]]:
        """The samples of a shard: their names, and their files by the endings."""
        tars = self.package.tariterators
        try:
            with closing(_opened(shard)) as stream:  # the package itself leaves it open
                for sample in tars.group_by_keys(tars.tar_file_expander([{"url": shard, "stream": stream}])):
                    files = {ending: content for ending, content in sample.items() if isinstance(content, bytes)}
                    try:
                        if files:
                            yield sample["__key__"], files
                    except GeneratorExit:  # how a program ends that is cut short says nothing of the shard
                        with suppress(OSError):
                            stream.close()
                        raise
        except DataError:
            raise
        except Exception as error:  # each way of reading raises whatever it is led to, and the package adds to it
            said = error.args[0] if error.args and not (isinstance(error, OSError) and error.strerror) else error
            reason = " ".join(str(said).split()) or type(error).__name__
            raise DataError(f"{shard}: the stream breaks off ({reason.rstrip('.')}).") from error


def _opened(shard: str) -> Any:
    """The stream. What gives it hears no signal to the whole process group: the run saves first, for which it may want
    a batch more."""
    command = f"{COMMAND}trap '' INT TERM; {shard.removeprefix(COMMAND)}"  # a shell would take what is held back
    with held_back():
        return import_module("webdataset.gopen").gopen(command if shard.startswith(COMMAND) else shard)
