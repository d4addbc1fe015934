"""Shards that are read side by side: each by a thread of its own, or all in this one."""

import queue
import threading
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import closing, suppress

from torch import Tensor

Image = tuple[int, Tensor]
Visit = Callable[[], Generator[Image, None, None]]
"""A shard that is read once: what is wanted of it, in its order."""

_AHEAD = 16
"""Images that a thread may have ready."""
_LOOK_SECONDS = 0.2
"""How often a thread that may go on to nothing sees whether it is still wanted."""
_END_SECONDS = 5.0


class SideBySide:
    """Gives the next image of whichever visit is asked for. workers: threads that read at a time; 0: none but this one.

    Visits are begun in their order: those that were asked for, and ahead of them as many as there are workers.
    """

    def __init__(self, visits: Sequence[Visit], workers: int) -> None:
        self._visits = visits
        self._workers = workers
        self._here: dict[int, Generator[Image, None, None]] = {}
        self._ready: list[queue.Queue[Image | Exception]] = [queue.Queue(_AHEAD) for _ in visits if workers]
        self._threads: list[threading.Thread] = []
        self._turn = threading.Semaphore(workers)
        self._stopped = threading.Event()

    def next(self, visit: int) -> Image:
        """Raises what the visit raises."""
        if not self._workers:
            if visit not in self._here:
                self._here[visit] = self._visits[visit]()
            return next(self._here[visit])
        while len(self._threads) <= min(visit + self._workers, len(self._visits) - 1):
            self._threads.append(threading.Thread(target=self._read, args=[len(self._threads)], daemon=True))
            self._threads[-1].start()
        found = self._ready[visit].get()
        if isinstance(found, Exception):
            raise found
        return found

    def close(self) -> None:
        """Ends what has been begun."""
        for images in self._here.values():
            images.close()
        self._stopped.set()
        latest = time.monotonic() + _END_SECONDS
        for thread in self._threads:
            thread.join(
                max(0.0, latest - time.monotonic())
            )  # one that waits for a network that is gone: it ends with us

    def _read(self, visit: int) -> None:
        """A thread's work. It waits for its turn to read, and lets it go to hand on what it has: so no visit that is
        asked for waits for one that nobody asks."""
        try:
            with closing(self._visits[visit]()) as images:
                while True:
                    with self._turn:
                        image = None if self._stopped.is_set() else next(images, None)
                    if image is None or not self._put(visit, image):
                        return
        except Exception as error:  # raised where the images are wanted
            self._put(visit, error)

    def _put(self, visit: int, what: Image | Exception) -> bool:
        """Whether it was still wanted."""
        while not self._stopped.is_set():
            with suppress(queue.Full):
                self._ready[visit].put(what, timeout=_LOOK_SECONDS)
                return True
        return False
