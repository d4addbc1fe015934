"""The runs of the cases, kept in a folder by their words: what lies there is not trained again."""

import io
import os
import shutil
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import redirect_stderr, redirect_stdout
from multiprocessing import get_context
from pathlib import Path

from benchmarks.doctor.cases import Case
from benchmarks.doctor.drawn import folder_of

PICTURES = "pictures"
"""The folder of what is drawn, beside the runs."""


def words_of(case: Case, runs: Path) -> list[str]:
    """All that is said to its run but where it lies."""
    words = list(case.all_words)
    if case.pictures:
        words += ["data=folder", f"data.root={folder_of(case.pictures, runs / PICTURES)}"]
    elif case.ground.needs:
        words.append(f"data.root={os.environ[case.ground.needs]}")
    if case.source:
        words.append(f"model.weights={runs / case.source.name}")
    return words


def is_there(case: Case, runs: Path) -> bool:
    return (runs / case.name / "summary.json").exists()


def train_missing(cases: Iterable[Case], runs: Path, processes: int) -> Iterator[Case]:
    """Trains what is not there yet, a process for each core with one thread; gives each case as its run ends."""
    (runs / PICTURES).mkdir(parents=True, exist_ok=True)
    wanted = {case.name: case for case in cases if not is_there(case, runs)}
    sources = {case.source.name: case.source for case in wanted.values() if case.source}
    first = {name: case for name, case in sources.items() if not is_there(case, runs)}
    for case in [*first.values(), *wanted.values()]:
        words_of(case, runs)  # draws its pictures, before two processes would
    os.environ["OMP_NUM_THREADS"] = "1"  # for the processes: before they import torch
    with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:
        for batch in (first, {name: case for name, case in wanted.items() if name not in first}):
            running = [pool.submit(_train, case, runs) for case in batch.values()]
            for done in as_completed(running):
                yield done.result()


def _train(case: Case, runs: Path) -> Case:
    from trainer.cli.python import train
    from trainer.errors import TrainerError

    folder = runs / case.name
    if folder.exists():  # what was broken off is begun anew
        shutil.rmtree(folder)
    with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
        try:
            train([f"output={runs}", f"name={case.name}", *words_of(case, runs)])
        except TrainerError:
            if not is_there(case, runs):  # a run that diverges is what was wanted: its records are there
                raise
    return case
