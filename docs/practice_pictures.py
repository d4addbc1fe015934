"""The pictures of docs/practices.md, measured: python -m docs.practice_pictures [NAME ...]

What stands below a picture on the page is what makes it: the commands are run as they stand there, in an empty folder,
with one thread; two pictures at a time, of which each takes one to five minutes on a busy core. What came out is kept
in docs/practices/measured.json, and drawn from there.
"""

import json
import os
import re
import shlex
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

from docs.figure import Figure, Line, drawn
from trainer.records.folder import RunFolder
from trainer.records.lines import read_metrics

DOCS = Path(__file__).parent
PAGE = DOCS / "practices.md"
FOLDER = DOCS / "practices"
MEASURED = FOLDER / "measured.json"
Place = float | str
"""What stands across: a number, or the value of a key as it was said."""
Point = tuple[str, Place, float]
"""A line, a place across, and what a seed came to there."""
Lines = Mapping[str, Sequence[tuple[Place, Sequence[float]]]]
"""The points of each line, by its name."""


@dataclass(frozen=True)
class Practice:
    """What a picture shows of the runs of its commands."""

    title: str
    across: str
    lines: Mapping[str, str]
    """The words that set the runs of a line apart, as their records have them -> its name; a run is of the first whose
    words were all said to it."""
    along: str = "epoch"
    """What stands across: epoch, layer (of what `inspect` prints), or the key whose values the runs were given."""
    score: str = "val_accuracy"
    up: str = "validation accuracy"
    ticks: Mapping[str, str] = field(default_factory=dict)
    """What stands below a value, where it is not the value itself."""
    joined: bool = True


PRACTICES = {
    "xavier": Practice(
        "He keeps the signal, Xavier loses it",
        "ReLU layer",
        {"init=he_normal": "He", "init=xavier_normal": "Xavier"},
        along="layer",
        score="std",
        up="std of what each layer gives out",
    ),
    "lsuv": Practice(
        "LSUV starts a net that no formula fits",
        "epoch",
        {"init=lsuv": "LSUV", "init=xavier_normal": "Xavier"},
    ),
    "warmup": Practice(
        "Warm-up forgives a bold rate",
        "rate (optim.lr)",
        {"sched.warmup=0.2": "warm-up", "sched.warmup=0": "none"},
        along="optim.lr",
    ),
    "mixup": Practice(
        "Mixup, where labels are wrong",
        "epoch",
        {"aug.mixup=1": "mixup", "aug.mixup=0": "none"},
    ),
    "smoothing": Practice(
        "Smoothing is less sure of wrong labels",
        "epoch",
        {"loss.smoothing=0.3": "smoothed", "loss.smoothing=0": "none"},
        score="val_loss",
        up="validation cross-entropy",
    ),
    "frozen": Practice(
        "Frozen for few pictures, whole for many",
        "pictures to train on",
        {"finetune=probe": "frozen", "model.weights=outputs/digits": "whole", "": "from scratch"},
        along="limit_train",
    ),
    "grey": Practice(
        "Grey costs what the colours tell",
        "what is to be told apart",
        {"data.grey=False": "colour", "data.grey=True": "grey"},
        along="data.root",
        ticks={"shapes": "shapes of any colour", "flags": "flags"},
        joined=False,
    ),
    "strong": Practice(
        "Turned too far, arrows teach nothing",
        "largest turn (aug.rotate)",
        {"data.root=arrows": "arrows"},
        along="aug.rotate",
        ticks={degrees: f"{degrees}°" for degrees in ("0", "10", "20", "45", "90")},
    ),
}


def main(names: Sequence[str]) -> None:
    """Measures the pictures that are named, or all, and draws them."""
    wrong = set(names) - set(PRACTICES)
    if wrong:
        sys.exit(f"There is no picture {', '.join(sorted(wrong))}. There is {', '.join(PRACTICES)}.")
    with ThreadPoolExecutor(2) as both:
        for name, lines in both.map(lambda name: (name, measured(name)), names or PRACTICES):
            keep(name, lines)
    draw()


def measured(name: str) -> Lines:
    """Runs the commands of a picture. The points of each of its lines."""
    began, practice, printed = time.monotonic(), PRACTICES[name], ""
    with TemporaryDirectory() as place:
        for command in commands_of(name):
            printed += told(command, Path(place))
        found = [path.parent for path in Path(place).glob("outputs/multirun/*/*/*/summary.json")]
        runs = sorted(found, key=lambda run: (run.parent, int(run.name)))
        points = of_layers(practice, printed) if practice.along == "layer" else of_runs(practice, runs)
        lines = gathered(practice, points)
    print(f"{name}: {len(runs)} runs, {time.monotonic() - began:.0f} s", flush=True)
    return lines


def commands_of(name: str) -> list[str]:
    """What stands in the first block below the picture on the page."""
    block = re.search(rf"\(practices/{name}\.svg\).*?^```sh\n(.*?)^```$", PAGE.read_text("utf-8"), re.M | re.S)
    assert block is not None, f"{PAGE} has no commands below practices/{name}.svg"
    return [line for line in block[1].replace("\\\n", " ").splitlines() if line]


def told(command: str, folder: Path) -> str:
    """What a command prints, run in the folder."""
    words = [sys.executable, *shlex.split(command, comments=True)[1:]]
    here = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(DOCS.parent)}
    ended = subprocess.run(words, cwd=folder, env=here, capture_output=True, text=True, check=False)
    if ended.returncode:
        sys.exit(f"{command}\n{ended.stdout}{ended.stderr}")
    return ended.stdout


def of_runs(practice: Practice, runs: Sequence[Path]) -> Iterator[Point]:
    """The points of runs: every epoch, or the last epoch at the run's value of a key."""
    for run in map(RunFolder, runs):
        said = run.read_summary()["overrides"]
        line = next(name for words, name in practice.lines.items() if {*words.split()} <= {*said})
        epochs = [each for each in read_metrics(run.metrics) if each["kind"] == "epoch"]
        if practice.along == "epoch":
            yield from ((line, each["epoch"], each[practice.score]) for each in epochs)
        else:
            value = next(word for word in said if word.startswith(f"{practice.along}=")).partition("=")[2]
            yield line, value, epochs[-1][practice.score]


def of_layers(practice: Practice, printed: str) -> Iterator[Point]:
    """The points of the tables that `inspect` has printed of initialisations: the layers with an activation."""
    for table in re.findall(rf"^ +{practice.score} +$(.*?)└", printed, re.M | re.S):
        head, *rows = [re.split(r"\s*[│┃]\s*", line)[1:-1] for line in table.splitlines() if line[:1] in ("┃", "│")]
        for number, (_, _, *cells) in enumerate([row for row in rows if row[1]], start=1):
            for scheme, cell in zip(head[2:], cells, strict=True):
                yield practice.lines[f"init={scheme}"], number, float(cell)


def gathered(practice: Practice, points: Iterable[Point]) -> Lines:
    """The points of each line, those of all seeds together."""
    found: dict[str, dict[Place, list[float]]] = {name: {} for name in practice.lines.values()}
    for line, place, value in points:
        found[line].setdefault(place, []).append(float(f"{value:.4g}"))
    return {name: list(points.items()) for name, points in found.items()}


def kept() -> dict[str, Lines]:
    """What was measured, by picture and line."""
    found: dict[str, Lines] = json.loads(MEASURED.read_text(encoding="utf-8"))
    return found


def keep(name: str, lines: Lines) -> None:
    """Puts what was measured for a picture in the place of what was there: a row of text for each of its lines."""
    found = kept() | {name: lines}
    rows = {
        each: ",\n  ".join(f"{json.dumps(line)}: {json.dumps(points)}" for line, points in found[each].items())
        for each in sorted(found)
    }
    MEASURED.write_text(
        "{\n " + ",\n ".join(f"{json.dumps(each)}: {{\n  {row}}}" for each, row in rows.items()) + "\n}\n",
        encoding="utf-8",
    )


def draw() -> None:
    """Draws every picture anew."""
    for name, lines in kept().items():
        (FOLDER / f"{name}.svg").write_text(drawn(figure_of(PRACTICES[name], lines)), encoding="utf-8")


def figure_of(practice: Practice, lines: Lines) -> Figure:
    """Epochs and layers are places; the values of a key stand side by side, each with its name."""
    seeds = max(len(each) for points in lines.values() for _, each in points)
    up = f"{practice.up}, {seeds} seeds" if seeds > 1 else practice.up
    values = list(dict.fromkeys(place for points in lines.values() for place, _ in points if isinstance(place, str)))
    ticks = [(number, practice.ticks.get(value, value)) for number, value in enumerate(values)]
    placed = [
        Line(name, [(values.index(place) if isinstance(place, str) else place, each) for place, each in lines[name]])
        for name in practice.lines.values()
    ]
    percent = practice.score.endswith("accuracy")
    return Figure(practice.title, up, practice.across, placed, ticks, percent=percent, joined=practice.joined)


if __name__ == "__main__":
    main(sys.argv[1:])
