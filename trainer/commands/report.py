"""report: the page of a run, drawn again from what the run and its evaluations have left."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import torch

from trainer.errors import ConfigError, DataError, TrainerError, visible
from trainer.inference.engine import load_network
from trainer.inference.saved import read_run
from trainer.inference.worst import MOST, with_pictures
from trainer.records.folder import RunFolder
from trainer.report.page.facts import RunFacts, facts_of
from trainer.report.page.pictures import Mistake, Pictures, read_pictures, write_pictures
from trainer.report.page.write import write_run_page


def run(
    places: Sequence[str], words: Sequence[str], *, output: str | None = None, plugins: list[str] | None = None
) -> int:
    """Writes the page of each run at the places: report.html in its folder, or output. Returns 0."""
    if output is not None and len(places) > 1:
        raise ConfigError("report: output is the page of one run. Name one, or leave it out.")
    for place in places:
        folder = RunFolder(Path(place).expanduser())
        page = folder.report if output is None else Path(output).expanduser()
        for line in draw_again(folder, page, plugins or []):
            print(visible(line))
        print(visible(f"written: {page}"))
    return 0


def draw_again(folder: RunFolder, page: Path, plugins: Sequence[str] = ()) -> list[str]:
    """Writes the page from what there is now, and gives what is to be told. Raises CheckpointError or OutputError."""
    facts, pictures = facts_of(folder), read_pictures(folder.pictures)
    notes = []
    if fresh := _to_draw(facts, pictures):
        try:
            drawn = _drawn(folder, fresh, plugins)
        except (TrainerError, RuntimeError, ValueError) as error:  # the page is worth having without these pictures
            notes.append(f"The pictures of the mistakes were not drawn: {error}")
        else:
            pictures = replace(pictures, part=facts.scores[0].part, mistakes=drawn)
            write_pictures(folder.pictures, pictures)
    write_run_page(facts, pictures, page)
    return notes


def _to_draw(facts: RunFacts, pictures: Pictures) -> list[Mistake]:
    """The mistakes of an evaluation whose pictures are not kept yet, if any of them is there."""
    if not facts.scores or not facts.scores[0].mistakes:
        return []
    told = list(facts.scores[0].mistakes[:MOST])
    kept = {(mistake.path, mistake.prediction) for mistake in pictures.mistakes}
    absent = [mistake for mistake in told if (mistake.path, mistake.prediction) not in kept]
    return told if any(Path(mistake.path).is_file() for mistake in absent) else []


def _drawn(folder: RunFolder, mistakes: Sequence[Mistake], plugins: Sequence[str]) -> tuple[Mistake, ...]:
    """The mistakes with the pictures of those whose files are there. Raises TrainerError or what torch raises."""
    run = read_run(folder.path, plugins)
    pixels = {}
    for place, mistake in enumerate(mistakes):
        with suppress(DataError):  # moved or damaged since: told without its picture
            pixels[place] = run.preprocessing.prepared(Path(mistake.path))
    known = [place for place in pixels if mistakes[place].prediction in run.classes]
    if not known:
        return tuple(mistakes)
    images = run.preprocessing.transform(device=torch.device("cpu"))(torch.stack([pixels[place] for place in known]))
    told = [mistakes[place] for place in known]
    drawn = with_pictures(load_network(run), images, run.preprocessing.normalisation, told, run.classes)
    shown = dict(zip(known, drawn, strict=True))
    return tuple(shown.get(place, mistake) for place, mistake in enumerate(mistakes))
