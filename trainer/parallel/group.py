"""Several processes that train one run: torch.distributed, and what it does not tell of a process that has ended."""

import json
import os
import socket
import sys
import time
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.rendezvous import rendezvous
from torch.nn.parallel import DistributedDataParallel

from trainer.errors import ConfigError, TrainerError, visible
from trainer.parallel.place import Place
from trainer.parallel.ranks import ALONE, Ranks
from trainer.parallel.sharded import is_sharded

_PATIENCE = timedelta(minutes=30)
"""How long a rank may take longer than another until its next exchange, a save and the drawing of a page included."""
_LOOK_SECONDS = 0.02
_GONE_SECONDS = 5.0
"""How long after its connections a process may still be there."""
_FAILED = "failed"


class Several(Ranks):
    """One of several processes. control: a group of gloo's, for what lies on the CPU: words, decisions, signals."""

    def __init__(self, place: Place, device: torch.device) -> None:
        self.place, self.own_keys = place, (place.rank,) * (not place.is_first)
        self._store, _, _ = next(iter(rendezvous("env://")))
        backend = "nccl" if device.type == "cuda" else "gloo"
        dist.init_process_group(backend, store=self._store, rank=place.rank, world_size=place.size, timeout=_PATIENCE)
        control = dist.new_group(backend="gloo", timeout=_PATIENCE)
        assert isinstance(control, dist.ProcessGroup)
        self._control = control
        self._peers: list[tuple[str, int]] = [("", 0)] * place.size
        dist.all_gather_object(self._peers, (socket.gethostname(), os.getpid()), group=self._control)
        self._coming: tuple[Tensor, dist.Work] | None = None
        self._heard = self._turns = 0

    def learner(self, model: nn.Module) -> nn.Module:
        # Made anew for each epoch, since in each other weights may learn. With find_unused_parameters its buckets stay
        # what they are, and so does the order of its sums: else they are arranged anew after the first step, and a run
        # that goes on in the middle of an epoch would have other bits. What an epoch ends with is shared by `same`.
        with warnings.catch_warnings():  # newer releases of torch have another word for broadcast_buffers
            warnings.filterwarnings("ignore", "`broadcast_buffers` is deprecated", FutureWarning)
            return DistributedDataParallel(model, init_sync=False, broadcast_buffers=False, find_unused_parameters=True)

    def sum_after(self, learner: nn.Module, last: bool) -> None:
        learner.require_backward_grad_sync = last  # type: ignore[assignment]  # as its no_sync() does

    def mean(self, number: Tensor) -> Tensor:
        number = number.clone()
        dist.all_reduce(number)
        return number / self.place.size

    def totals(self, loss: Tensor, sums: list[Sequence[Tensor]]) -> tuple[Tensor, list[Sequence[Tensor]]]:
        numbers = torch.stack([loss / self.place.size, *(number for batch in sums for number in batch)])
        dist.all_reduce(numbers)
        of_all, *rest = numbers.unbind()
        width = len(rest) // len(sums)
        return of_all, [rest[first : first + width] for first in range(0, len(rest), width)]

    def whole(self, logits: Tensor, count: int) -> Tensor:
        own = logits.float().contiguous()
        shares = [torch.empty_like(own) for _ in range(self.place.size)]
        dist.all_gather(shares, own)
        return torch.cat(shares)[:count]

    def same(self, *models: nn.Module | None) -> None:
        self.from_first(None)
        for tensor in (tensor for model in models if model is not None for tensor in self._shared(model)):
            dist.broadcast(tensor, src=0)

    def from_first(self, value: Any) -> Any:
        self._heard += 1
        key, box = f"heard/{self._heard}", [value]
        if self.place.is_first:
            self._store.set(key, "")
        else:
            self._wait_for(key)
        dist.broadcast_object_list(box, src=0, group=self._control)
        return box[0]

    def agreed(self, signal_number: int) -> int:
        before, noted = self._coming, torch.tensor(signal_number)
        work = dist.all_reduce(noted, op=dist.ReduceOp.MAX, group=self._control, async_op=True)
        assert work is not None
        self._coming = noted, work
        if before is None:
            return 0
        found, work = before
        work.wait()
        return int(found)

    @contextmanager
    def in_turn(self) -> Iterator[None]:
        self._turns += 1
        key = f"turn/{self._turns}/{self.place.of_machine.start}"
        if self.place.local_rank:
            self._wait_for(key)
        yield
        if not self.place.local_rank:
            self._store.set(key, "")

    @contextmanager
    def watched(self, folder: Path | None = None) -> Iterator[None]:
        try:
            yield
        except RuntimeError as error:
            if not _is_of_an_exchange(error) or (ended := self._why_ended(folder)) is None:
                raise
            self.claim(ended, at_once=True)  # torchrun may end this process, too, before all is written
            raise ended from error

    def claim(self, error: TrainerError, *, at_once: bool = False) -> None:
        """Lets this error be told once: by the rank that comes first with one, and not by those that end for it.

        at_once: here, of the first rank too, whose errors are else told at its end.
        """
        told = {"rank": self.place.rank, "message": str(error), "code": error.exit_code}
        error.is_told = error.is_told or self._first_told(told) != told
        if not error.is_told and (at_once or not self.place.is_first):
            print(visible(str(error), keep="\n"), file=sys.stderr)
            error.is_told = True

    def leave(self) -> None:
        """When all has gone well."""
        if self._coming is not None:
            self._coming[1].wait()
        dist.destroy_process_group()

    def _shared(self, model: nn.Module) -> list[Tensor]:
        """Those of its tensors that each process holds whole."""
        return list(model.state_dict().values())

    def _wait_for(self, key: str) -> None:
        """Without a limit of time, which decoding may take much of: but not for a process that has ended."""
        while not self._store.check([key]):
            ended = self._store.check([_FAILED]) or self._gone()
            if ended and not self._store.check([key]):  # it may have come meanwhile, and be the last that was needed
                raise _NotComingError(f"{key} will not come")
            time.sleep(_LOOK_SECONDS)

    def _why_ended(self, folder: Path | None) -> TrainerError | None:
        """Why an exchange has failed: an error that another rank has told, or one that has ended without a word."""
        way_on = f" Go on with the same command and resume={folder}" if folder else ""
        latest = time.monotonic() + _GONE_SECONDS
        while time.monotonic() < latest:
            if told := self._told():
                error = TrainerError(f"Process {told['rank']} of {self.place.size} has failed: {told['message']}")
                error.exit_code, error.is_told = told["code"], True
                return error
            if gone := self._gone():
                host, pid = self._peers[gone[0]]
                ranks = ", ".join(map(str, gone))
                return TrainerError(
                    f"Process {ranks} of {self.place.size} has ended without a word (pid {pid} on {host}): killed from "
                    f"outside, or out of memory? What was saved before is intact.{way_on}"
                )
            time.sleep(_LOOK_SECONDS)
        here = self.place.of_machine
        others = sorted({host for rank, (host, _) in enumerate(self._peers) if rank not in here})
        if not others:
            return None
        return TrainerError(
            f"Process {self.place.rank} of {self.place.size} no longer hears from the others: one on "
            f"{' or '.join(others)} has ended, or the network. What was saved before is intact.{way_on}"
        )

    def _first_told(self, told: dict[str, Any]) -> dict[str, Any]:
        """What was told first, which is this where nothing was."""
        try:
            first: dict[str, Any] = json.loads(self._store.compare_set(_FAILED, "", json.dumps(told)))
        except RuntimeError:  # who keeps the store has ended: nobody else can be asked
            return told
        return first

    def _told(self) -> dict[str, Any] | None:
        try:
            told: dict[str, Any] | None = json.loads(self._store.get(_FAILED)) if self._store.check([_FAILED]) else None
        except RuntimeError:  # who keeps the store has ended too
            return None
        return told

    def _gone(self) -> list[int]:
        """The ranks of this machine that have ended."""
        return [rank for rank in self.place.of_machine if not _is_alive(self._peers[rank][1])]


class Sharded(Several):
    """One of several processes, each of which holds a part of every weight and of what the optimizer keeps of it."""

    def __init__(self, place: Place, device: torch.device) -> None:
        from torch.distributed.device_mesh import init_device_mesh

        super().__init__(place, device)
        self._mesh = init_device_mesh(device.type, (place.size,))

    def shard(self, *models: nn.Module | None) -> None:
        """Child by child, so that no process holds more than one of them whole."""
        from torch.distributed.fsdp import fully_shard

        for model in models:
            if model is None:
                continue
            model.to(memory_format=torch.contiguous_format)  # it takes no others
            called = [module for module in model.children() if not isinstance(module, nn.ModuleList | nn.ModuleDict)]
            for module in (*called, model):
                fully_shard(module, mesh=self._mesh, reshard_after_forward=True)

    def learner(self, model: nn.Module) -> nn.Module:
        return model

    def sum_after(self, learner: nn.Module, last: bool) -> None:
        learner.set_requires_gradient_sync(last)  # type: ignore[operator]

    def all_of(self, finite: Tensor) -> bool:
        return bool(self.mean(finite.float()) == 1)

    def _shared(self, model: nn.Module) -> list[Tensor]:
        return [tensor for tensor in model.state_dict().values() if not is_sharded(tensor)]


class _NotComingError(RuntimeError):
    """What is waited for was to come from a process that has ended."""


def _is_of_an_exchange(error: RuntimeError) -> bool:
    """Whether an exchange between processes has failed, and not this one's own work."""
    return isinstance(error, dist.DistError | _NotComingError) or any(
        word in str(error) for word in ("gloo", "Gloo", "NCCL", "ProcessGroup", "onnection", "Broken pipe")
    )


def _is_alive(pid: int) -> bool:
    """Not of a process that has ended and that nobody has asked about yet."""
    try:
        os.kill(pid, 0)
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except FileNotFoundError:  # not Linux
        return True
    except ProcessLookupError:
        return False


@contextmanager
def joined(place: Place, device: torch.device, parallel: str = "ddp") -> Iterator[Ranks]:
    """This process among those of its run, on a device of its own; or ALONE.

    parallel: ddp, or fsdp: then they share out the model. Raises ConfigError if they cannot share the device. An error
    within is told once, of whatever rank it is.
    """
    if place.is_alone:
        yield ALONE
        return
    if device.type == "mps":
        raise ConfigError("device: several processes cannot share mps. Use device=cpu, or one process.")
    if device.type == "cuda":  # untested: needs several GPUs
        torch.cuda.set_device(place.local_rank)
    ranks = (Sharded if parallel == "fsdp" else Several)(place, device)
    try:
        with ranks.watched():
            yield ranks
            ranks.leave()
    except TrainerError as error:
        ranks.claim(error)
        raise
