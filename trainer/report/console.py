"""What is seen while a run goes on: plain lines, above a progress bar where the output is a terminal."""

from contextlib import suppress
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from trainer.errors import visible


class Screen:
    """Says lines, on the screen and in the log file, and shows bars on terminals only: CI logs are not flooded."""

    def __init__(self, *, aside: bool = False) -> None:
        """aside: on stderr, where what is printed is for a program to read."""
        self._console = Console(stderr=aside)
        self._log: Path | None = None
        self._counting: dict[str, Bar] = {}
        self._bars = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            TextColumn("{task.completed}/{task.total}"),
            TextColumn("{task.fields[numbers]}"),
            TextColumn("{task.fields[speed]}"),
            TimeRemainingColumn(),
            console=self._console,
            transient=True,
            disable=not self._console.is_terminal or self._console.is_dumb_terminal,
        )

    def __enter__(self) -> "Screen":
        return self

    def __exit__(self, *_: object) -> None:
        """Takes the bars away, whatever has happened: a terminal gets its cursor back."""
        self._bars.stop()

    def log_to(self, path: Path) -> None:
        """From now on the lines go into this file as well."""
        self._log = path

    def say(self, line: str) -> None:
        line = visible(line, keep="\n\t")
        try:
            self._console.print(line, markup=False, highlight=False, soft_wrap=True)
        except OSError:  # what read our output is gone, as after `| head`, or its disk is full: the run goes on
            self._console.quiet = True
        if self._log is not None:
            with suppress(OSError), self._log.open("a", encoding="utf-8", errors="backslashreplace") as file:
                file.write(line + "\n")  # on a full disk a line is missing, which the screen and metrics.jsonl have

    def bar(self, label: str, total: int, completed: int = 0) -> "Bar":
        """A bar that stays until it is closed."""
        self._bars.start()
        return Bar(self._bars, self._bars.add_task(label, total=total, completed=completed, numbers="", speed=""))

    def counting(self, label: str, done: int, total: int) -> None:
        """The progress of something that counts by itself: its bar closes when all is done."""
        if label not in self._counting:
            self._counting[label] = self.bar(label, total)
        self._counting[label].move(done)
        if done >= total:
            self._counting.pop(label).close()


class Bar:
    """One bar, to be moved on and closed."""

    def __init__(self, bars: Progress, task: TaskID) -> None:
        self._bars = bars
        self._task = task

    def move(self, completed: int, **fields: str) -> None:
        """completed: how much is done by now. fields: the words beside the bar, where they change."""
        self._bars.update(self._task, completed=completed, **fields)  # type: ignore[arg-type]

    def close(self) -> None:
        self._bars.remove_task(self._task)
        if not self._bars.tasks:
            self._bars.stop()
