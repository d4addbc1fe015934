"""Many cases, side by side, a line each, and what they came to."""

import multiprocessing
import pkgutil
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from importlib import import_module
from pathlib import Path

import numpy as np
from PIL import Image

import trainer
from torture.cases import Props, draw_case
from torture.child import PHASES
from torture.play import Outcome, play
from torture.runs import follow, start
from trainer.cli.main import training_config
from trainer.kernels.compiled import library

_NEEDED = ("torchvision", "hydra.core.plugins")

_CLASSES = ("gravel", "leaves", "sand")


def soak(seed: int, numbers: Sequence[int], *, jobs: int, folder: Path | None, images_per_class: int) -> bool:
    """Plays the cases and prints how each ended; whether all were identical. Folders of those that were not stay."""
    begun = time.perf_counter()
    for module in (*_NEEDED, *_own_modules()):  # once, for every run that is forked from here
        import_module(module)
    import_seconds = time.perf_counter() - begun
    training_config(())  # so that no run is the first to compose
    library()  # nor the one to compile the kernels, into a cache folder of its own
    place = Path(tempfile.mkdtemp(prefix="torture-")) if folder is None else folder
    props = _make_props(place, images_per_class)
    outcomes: list[Outcome] = []
    with ProcessPoolExecutor(jobs, multiprocessing.get_context("fork")) as pool:
        played = [
            pool.submit(play, draw_case(seed, number, props), place / str(number), import_seconds) for number in numbers
        ]
        for each in played:
            outcomes.append(each.result())
            print("\n".join(_lines(outcomes[-1], seed, place)), flush=True)
    return _close(outcomes, seed, place, time.perf_counter() - begun)


def _own_modules() -> list[str]:
    """Every module of the program but the one that runs it."""
    found = pkgutil.walk_packages(trainer.__path__, "trainer.")
    return [module.name for module in found if not module.name.endswith("__main__")]


def _make_props(place: Path, images_per_class: int) -> Props:
    """Class folders of small pictures, and the weights of a short run on them."""
    images = place / "images"
    random = np.random.default_rng(0)
    for part, count in (("train", images_per_class), ("test", 10)):
        for number, name in enumerate(_CLASSES):
            (images / part / name).mkdir(parents=True)
            for index in range(count):
                pixels = random.integers(0, 160, (16, 20, 3)) + 40 * np.eye(3, dtype=np.int64)[number]
                Image.fromarray(pixels.astype(np.uint8)).save(images / part / name / f"{index}.png")
    words = [f"output={place}", "name=first", "data=folder", f"data.root={images}", "data.size=12"]
    words += ["model.widths=[16,32]", "epochs=1", "device=cpu", "precision=fp32"]
    course = follow(*start(words, place / "first.txt", {}, as_command=False), None)
    assert course.code == 0, (place / "first.txt").read_text()
    missing = set(PHASES.values()) - {phase for _, phase in course.entered}
    assert not missing, f"a run no longer tells of {missing}: see torture/child.py"
    return Props(images, images_per_class * len(_CLASSES), place / "first" / "checkpoints" / "best.pt")


def _lines(outcome: Outcome, seed: int, place: Path) -> list[str]:
    case = outcome.case
    verdict = "DIFFERS" if outcome.differences else "identical"
    starts = (*(attempt.words for attempt in case.attempts), case.last_words)
    workers = " ".join(word.partition("=")[2] for words in starts for word in words if word.startswith("workers="))
    precision = next(word.partition("=")[2] for word in case.words if word.startswith("precision="))
    told = f"{precision}, workers {workers}, killed in {', '.join(outcome.kills) or 'nothing'}"
    lines = [f"case {case.number:>4}  {verdict:9}  {outcome.seconds:5.1f} s  {told}"]
    if outcome.differences:
        lines += [f"           {line}" for line in outcome.differences]
        lines.append(f"           words: {' '.join(case.words)}")
        lines.append(f"           both folders: {place / str(case.number)}")
        lines.append(f"           again: make torture SEED={seed} ONLY={case.number}")
    return lines


def _close(outcomes: Sequence[Outcome], seed: int, place: Path, seconds: float) -> bool:
    identical = sum(not outcome.differences for outcome in outcomes)
    hit = Counter(phase for outcome in outcomes for phase in outcome.kills)
    spread = ", ".join(f"{hit[phase]} in {phase}" for phase in PHASES.values())
    print(f"{sum(hit.values())} kills: {spread}")
    print(f"{identical} of {len(outcomes)} identical; seed {seed}, {seconds / 60:.1f} minutes")
    return identical == len(outcomes)
