"""Several processes that train one run, as torchrun would start them, but forked: they have torch already."""

import os
import signal
import socket
import sys
import time
import traceback
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import torch._dynamo  # noqa: F401  # DistributedDataParallel does: here once, and not in each fork
from torch.distributed import TCPStore

_LONGEST_SECONDS = 120.0


@contextmanager
def started(size: int, work: Callable[[int], object], told: Path) -> Iterator[list[int]]:
    """The processes, by rank, each of which does work(rank); what it prints is in told/RANK.out and .err.

    None outlives the block. The store in which they meet is here, as it is torchrun's.
    """
    port = free_port()
    pids = [_forked(rank, size, port, work, told) for rank in range(size)]
    store = TCPStore("127.0.0.1", port, is_master=True, wait_for_workers=False)
    try:
        yield pids
    finally:
        for pid in pids:
            try:
                os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, 0)
            except (ProcessLookupError, ChildProcessError):
                pass
        del store


def ended(pids: Sequence[int]) -> list[int]:
    """The exit codes of the processes, once all have ended."""
    codes: dict[int, int] = {}
    latest = time.monotonic() + _LONGEST_SECONDS
    while len(codes) < len(pids):
        assert time.monotonic() < latest, f"only {codes} of {pids} have ended"
        for pid in pids:
            if pid not in codes and (status := os.waitpid(pid, os.WNOHANG))[0]:
                codes[pid] = os.waitstatus_to_exitcode(status[1])
        time.sleep(0.01)
    return [codes[pid] for pid in pids]


def free_port() -> int:
    """One that nobody listens at."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def together(size: int, work: Callable[[int], object], told: Path) -> None:
    """All of them do it, and well."""
    with started(size, work, told) as pids:
        codes = ended(pids)
    assert codes == [0] * size, "".join((told / f"{rank}.err").read_text() for rank in range(size))


def environment(rank: int, size: int, port: int) -> Mapping[str, str]:
    """What torchrun tells a process."""
    return {
        "RANK": str(rank),
        "LOCAL_RANK": str(rank),
        "WORLD_SIZE": str(size),
        "LOCAL_WORLD_SIZE": str(size),
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
        "TORCHELASTIC_USE_AGENT_STORE": "True",
        "TORCHELASTIC_RESTART_COUNT": "0",
    }


def _forked(rank: int, size: int, port: int, work: Callable[[int], object], told: Path) -> int:
    with warnings.catch_warnings(action="ignore"):  # of threads beside the fork: none of them holds a lock of ours
        pid = os.fork()
    if pid:
        return pid
    code = 99  # not one of the program's
    try:
        os.environ.update(environment(rank, size, port))
        for number, kind in ((1, "out"), (2, "err")):
            path = told / f"{rank}.{kind}"
            os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), number)
        sys.stdout, sys.stderr = os.fdopen(1, "w"), os.fdopen(2, "w")
        work(rank)
        code = 0
    except SystemExit as end:
        code = int(end.code or 0)
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
