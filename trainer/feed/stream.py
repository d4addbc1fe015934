"""Images that are decoded whenever they are asked for, by worker processes; and how these end, or are ended."""

import atexit
import multiprocessing
import os
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from multiprocessing.connection import wait
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, get_worker_info

from trainer.data.source import Samples
from trainer.errors import DataError, TrainerError, first_line
from trainer.system.signals import STOPS, held_back

PATIENCE_SECONDS = 300.0
"""How long a batch may take until its worker is held to hang: on a drive that is gone, say."""
_LOOK_SECONDS = 5.0
"""How often the wait for a batch is broken off to see whether its worker is still there."""
_END_SECONDS = 5.0
_NOWHERE = -1


@dataclass(frozen=True)
class StreamedStore:
    """Images decoded when they are asked for, a few batches ahead, by `workers` processes (0: in this one).

    gather raises DataError with the file that cannot be read, and TrainerError, with the worker and its file, if a
    worker fails, dies, or hangs for five minutes. No process outlives it.
    """

    samples: Samples
    labels: Tensor
    keys: Sequence[str]
    workers: int
    resident = False

    @property
    def shape(self) -> tuple[int, int, int]:
        return self.samples.shape

    def gather(self, orders: Sequence[Tensor]) -> Iterator[Tensor]:
        if not self.workers:
            for order in orders:
                yield torch.stack([self.samples.image(index) for index in order.tolist()])
            return
        places = torch.full((min(self.workers, len(orders)), 2), _NOWHERE).share_memory_()  # type: ignore[no-untyped-call]
        loader = DataLoader(
            _Reader(self.samples, places),
            batch_sampler=[order.tolist() for order in orders],
            num_workers=len(places),
            collate_fn=_as_it_is,
            worker_init_fn=partial(_begin, places),
            timeout=_LOOK_SECONDS,
            generator=torch.Generator(),  # else its seed is drawn from torch's global state, which belongs to the run
        )
        with _Workers(loader, places, self.keys) as batches:
            yield from batches

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True)
class _Failure:
    """What went wrong in a worker, in plain words: an exception itself might not travel. trace: None if data did."""

    message: str
    trace: str | None = None


class _Reader(Dataset["Tensor | _Failure"]):
    """Whole batches for the workers. places: each worker's process, and the sample that it is at; shared memory."""

    def __init__(self, samples: Samples, places: Tensor) -> None:
        self.samples = samples
        self.places = places

    def __getitems__(self, indices: list[int]) -> Tensor | _Failure:
        info = get_worker_info()
        assert info is not None
        images = []
        for index in indices:
            self.places[info.id, 1] = index
            try:
                images.append(self.samples.image(index))
            except DataError as error:
                return _Failure(str(error))
            except Exception as error:  # told in the parent, with the sample
                what = f"{type(error).__name__}: {first_line(error)}"
                at = self.samples.keys[index]
                return _Failure(f"Data worker {info.id} failed at {at}: {what}.", traceback.format_exc())
        self.places[info.id, 1] = _NOWHERE
        return torch.stack(images)


class _Workers:
    """A loader's processes: their start, their sudden end, and their stop."""

    def __init__(self, loader: "DataLoader[Tensor | _Failure]", places: Tensor, keys: Sequence[str]) -> None:
        self.loader = loader
        self.places = places
        self.keys = keys
        self.hung: list[int] = []

    def __enter__(self) -> Iterator[Tensor]:
        handler, others = signal.getsignal(signal.SIGCHLD), set(multiprocessing.active_children())
        # A new worker does not know yet that signals to the group are not for it: none reaches it before it does.
        with held_back():
            self.iterator = iter(self.loader)
        self.processes = [each for each in multiprocessing.active_children() if each not in others]
        if threading.current_thread() is threading.main_thread():
            # Torch's handler would raise in whatever line runs when a worker dies; so it is noticed in _batches.
            signal.signal(signal.SIGCHLD, handler)
        atexit.register(self.kill)  # on exit Python sends SIGTERM and waits, and these processes ignore SIGTERM
        return self._batches()

    def __exit__(self, *_: object, python_ends: Callable[[], bool] = sys.is_finalizing) -> None:
        if python_ends():  # all were killed at its exit, and the modules that would end them may be gone
            return
        atexit.unregister(self.kill)
        del self.iterator  # tells the processes to end, and waits five seconds for each
        self.kill()  # one that hangs has not heard
        for process in self.processes:
            process.join(_END_SECONDS)
            # One that the system cannot end, in the middle of a read that never does, would be waited for at exit too.
            multiprocessing.process._children.discard(process)  # type: ignore[attr-defined]

    def kill(self) -> None:
        for process in self.processes:
            process.kill()

    def _batches(self) -> Iterator[Tensor]:
        while True:
            try:
                batch = self._next()
            except (RuntimeError, ConnectionError, EOFError) as error:
                ended = wait([process.sentinel for process in self.processes], timeout=1)
                dead = [process for process in self.processes if process.sentinel in ended]
                if not dead and not self.hung:
                    raise  # all are alive: something else
                for process in self.processes if self.hung else dead:
                    process.join(1)  # its files are closed before it has an exit code
                message = self._post_mortem({process.pid: process.exitcode for process in dead})
                self.kill()  # the dead one's queue may be locked for good: the others could not end by themselves
                raise TrainerError(message) from error
            if batch is None:
                return
            if isinstance(batch, _Failure):
                if batch.trace is None:
                    raise DataError(batch.message)
                raise TrainerError(f"{batch.message} HYDRA_FULL_ERROR=1 shows where.") from RuntimeError(batch.trace)
            yield batch

    def _next(self) -> Tensor | _Failure | None:
        """The next batch. If none comes for too long the workers are ended, and RuntimeError is raised.

        Waits are counted, not seconds: while the program is suspended, no time passes here.
        """
        for _ in range(max(1, round(PATIENCE_SECONDS / _LOOK_SECONDS))):
            try:
                return next(self.iterator, None)
            except RuntimeError as error:
                if "timed out" not in str(error):
                    raise
        at_work = [worker for worker, (_, sample) in enumerate(self.places.tolist()) if sample != _NOWHERE]
        self.hung = at_work or list(range(len(self.places)))
        self.kill()
        raise RuntimeError(f"no batch came for {PATIENCE_SECONDS:g} s")

    def _post_mortem(self, exit_codes: dict[int | None, int | None]) -> str:
        """The line that says which worker ended how, and at which sample."""
        if self.hung:
            stuck = ", ".join(f"worker {worker}{self._at(worker)}" for worker in self.hung)
            alive = ", ".join(str(process.pid) for process in self.processes if process.is_alive())
            left = f" Process {alive} cannot be ended until it is." if alive else ""
            return (
                f"No images came for {PATIENCE_SECONDS:g} s: data {stuck} hangs. Is the drive still there?{left} "
                "workers=0 reads in the main process."
            )
        pids = self.places[:, 0].tolist()
        worker, code = next(((pids.index(pid), code) for pid, code in exit_codes.items() if pid in pids), (0, None))
        if code is None or code < 0:
            how = f"it was killed from outside{f' by {signal.Signals(-code).name}' if code else ''}; out of memory?"
            return f"Data worker {worker} died{self._at(worker)}: {how} Try fewer workers or a smaller batch_size."
        return (
            f"Data worker {worker} died{self._at(worker)}: it ended itself with code {code}, as a library may do; out "
            "of memory? Try workers=0, which reads in the main process."
        )

    def _at(self, worker: int) -> str:
        sample = int(self.places[worker, 1])
        return f" at {self.keys[sample]}" if sample != _NOWHERE else ""


def _begin(places: Tensor, worker: int) -> None:
    """A signal to the whole process group must not end the workers: the parent saves first, and then stops them."""
    places[worker, 0] = os.getpid()
    for number in STOPS:
        signal.signal(number, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, STOPS)


def _as_it_is(batch: Any) -> Any:
    return batch
