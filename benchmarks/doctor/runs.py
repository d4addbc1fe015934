"""The runs of the cases, kept in a folder by their words: what lies there is not trained again."""

import io
import os
import shutil
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import redirect_stderr, redirect_stdout, suppress
from multiprocessing import get_context
from pathlib import Path

from benchmarks.doctor.cases import Case
from benchmarks.doctor.drawn import Wanted, draw
from trainer.errors import DivergedError
from trainer.records.folder import read_json

PICTURES = "pictures"
"""The folder of what is drawn, beside the runs."""


def words_of(case: Case, runs: Path) -> list[str]:
    """All that is said to its run but where it lies."""
    words = list(case.all_words)
    if case.pictures:
        words += ["data=folder", f"data.root={runs / PICTURES / case.pictures.folder}"]
    elif case.ground.needs:
        words.append(f"data.root={os.environ[case.ground.needs]}")
    if case.source:
        words.append(f"model.weights={runs / case.source.name}")
    return words


def draw_pictures(pictures: Wanted | None, runs: Path) -> None:
    """Draws what a run learns from, where that is drawn and not there yet."""
    if pictures is not None:
        draw(pictures, runs / PICTURES / pictures.folder)


def train_missing(cases: Iterable[Case], runs: Path, processes: int) -> Iterator[str]:
    """Trains what is not there yet, a process for each core with one thread; gives each name as its run ends."""
    (runs / PICTURES).mkdir(parents=True, exist_ok=True)
    wanted = {case.name: case for case in cases}
    first = {case.source.name: case.source for case in wanted.values() if case.source}
    os.environ["OMP_NUM_THREADS"] = "1"  # for the processes: before they import torch
    with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:
        for batch in (first, {name: case for name, case in wanted.items() if name not in first}):
            running = [
                pool.submit(_train, name, words_of(case, runs), case.pictures, runs)
                for name, case in batch.items()
                if not _is_there(runs / name)
            ]
            try:
                yield from (done.result() for done in as_completed(running))
            except Exception:  # else all others would be trained before it is told
                pool.shutdown(cancel_futures=True)
                raise


def _is_there(folder: Path) -> bool:
    """Whether the run has come to an end of its own: its last epoch, or numbers that are none."""
    summary = folder / "summary.json"
    return summary.exists() and read_json(summary)["exit_code"] in (0, DivergedError.exit_code)


def _train(name: str, words: Sequence[str], pictures: Wanted | None, runs: Path) -> str:
    from trainer.cli.python import train  # in a process that has its number of threads

    folder = runs / name
    if folder.exists():  # what was broken off is begun anew
        shutil.rmtree(folder)
    draw_pictures(pictures, runs)
    with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()), suppress(DivergedError):
        train([f"output={runs}", f"name={name}", *words])
    return name
