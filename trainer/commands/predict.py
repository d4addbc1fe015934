"""predict: what a trained run says that pictures show."""

import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import BinaryIO, Literal

from trainer.data.archive import is_archive
from trainer.engine.device import choose_device
from trainer.errors import ConfigError, DataError, OutputError, did_you_mean, visible
from trainer.inference.answering import answering_of
from trainer.inference.choice import choose_engine
from trainer.inference.classifier import Classifier, classifier_of
from trainer.inference.pictures import Found, find, number_of
from trainer.inference.predictions import Columns, Format, Prediction, table, write
from trainer.inference.saved import read_run
from trainer.inference.sorting import Sorter, check_no_copies
from trainer.inference.temperature import read_temperature
from trainer.inference.tta import looks_of
from trainer.records.folder import cannot_write
from trainer.report.console import Bar, Screen
from trainer.schema import Count, EngineChoice, Fraction, Tta
from trainer.system import durable
from trainer.system.garbage import begin_collecting

_FORMATS: dict[str, Format] = {".csv": "csv", ".jsonl": "jsonl", ".ndjson": "jsonl", ".txt": "table"}
"""What a file is written as, by its name's end."""


def run(
    places: Sequence[str],
    words: Sequence[str],
    *,
    output: str | None = None,
    format: Literal["csv", "jsonl", "table"] | None = None,
    topk: Count | None = None,
    threshold: Fraction | None = None,
    sort: str | None = None,
    copy: bool = False,
    on_error: Literal["report", "skip"] = "report",
    tta: Tta = "none",
    calibrated: bool = False,
    engine: EngineChoice = "auto",
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto",
    plugins: list[str] | None = None,
) -> int:
    """Classifies the pictures at all places but the first, which is the run. Returns 0; 3 if some cannot be read.

    output: a file; None prints: a table on a terminal, CSV into a pipe. threshold: below it the answer is 'unsure', or
    of several labels none of them is answered. sort: a folder that gets a link, or with copy a copy, of each picture,
    in a folder for each label of its answer. on_error: 'skip' returns 0 all the same.
    """
    if copy and sort is None:
        raise ConfigError("copy: copies go where sort=FOLDER says. Say it as well.")
    target = None if output is None else Path(output).expanduser()
    form = _format(target, format)
    _check_target(target)
    sorted_into = None if sort is None else Path(sort).expanduser()
    if sorted_into is not None and (copy or any(is_archive(Path(place).expanduser()) for place in places[1:])):
        check_no_copies(sorted_into)
    saved = read_run(Path(places[0]).expanduser(), plugins or ())
    answering = answering_of(saved, threshold)
    columns = answering.columns(saved.classes, topk)
    pictures = find(places[1:], sorted_into)
    first = next(pictures, None)
    if first is None:
        raise DataError(
            f"{', '.join(places[1:])}: no pictures there. Folders are searched for .jpg, .png and the like."
        )

    if answering.note:
        _tell(answering.note)
    with Screen() as screen:
        chosen = choose_device(device)
        total = number_of(places[1:], sorted_into)
        looks = None if total is None else total * looks_of(tta)
        chosen_engine = choose_engine(saved, engine, chosen, looks, _tell)
        classifier = classifier_of(saved, chosen_engine, tta, calibrated, answering)
        if calibrated and (temperature := read_temperature(saved)):
            _tell(f"calibrated by {temperature.sentence()}")
        sorter = None if sorted_into is None else Sorter(sorted_into, saved.classes, answering.no_label, copies=copy)
        begin_collecting()
        job = _Job(classifier, sorter, screen.bar("Classifying", total) if total else None)
        predictions = job.predictions(chain([first], pictures))
        if target is not None:
            _write_file(target, predictions, form, columns)
        elif form == "table":
            for line in table(predictions, columns):
                screen.say(line)
        else:
            write(sys.stdout.buffer, predictions, form, columns)
    for line in job.summary():
        _tell(line)
    if target is not None:
        _tell(f"written: {target}")
    return DataError.exit_code if job.unread and on_error == "report" else 0


@dataclass
class _Job:
    """The pictures of one command, counted as they go by."""

    classifier: Classifier
    sorter: Sorter | None
    bar: Bar | None
    done: int = 0
    unread: int = 0
    seconds: float = 0.0

    def predictions(self, pictures: Iterator[Found]) -> Iterator[Prediction]:
        begun = time.perf_counter()
        for batch in self.classifier.answer((found, found.picture) for found in pictures):
            for found, answer in batch:
                prediction = Prediction(found, answer)
                self.unread += prediction.error is not None
                if self.sorter is not None:
                    self.sorter.put(prediction)
                yield prediction
            self.done += len(batch)
            self.seconds = time.perf_counter() - begun
            if self.bar is not None:
                self.bar.move(self.done, speed=f"{self.done / self.seconds:,.0f} images/s")

    def summary(self) -> list[str]:
        """'2,000 pictures, 3 of them not read, in 12.1 s (165 images/s), by torch on cpu in fp32'; and where they lie
        sorted."""
        among = f"{self.unread:,} of them " if self.done > 1 else ""
        unread = f", {among}not read," if self.unread else ""
        speed = f"{self.seconds:.1f} s ({self.done / max(self.seconds, 1e-9):,.0f} images/s)"
        line = f"{self.done:,} picture{'s' * (self.done != 1)}{unread} in {speed}, by {self.classifier.engine.name}"
        return [line, *([] if self.sorter is None else [self.sorter.summary()])]


def _tell(line: str) -> None:
    """Beside the answers, which may go into a pipe."""
    print(visible(line), file=sys.stderr)


def _format(target: Path | None, said: Format | None) -> Format:
    if said is not None:
        return said
    if target is None:
        return "table" if sys.stdout.isatty() else "csv"
    suffix = target.suffix.lower()
    if suffix not in _FORMATS:
        hint = did_you_mean(suffix, _FORMATS)
        raise ConfigError(
            f"output: {target} does not say its format.{hint} End it in .csv, .jsonl or .txt, or say format=csv."
        )
    return _FORMATS[suffix]


def _check_target(target: Path | None) -> None:
    """Raises OutputError for what cannot be written, before the work and not after it."""
    if target is None:
        return
    if target.is_dir():
        raise OutputError(f"{target} is a folder. Name a file in it: output={target / 'answers.csv'}")
    if not target.parent.is_dir():
        raise OutputError(
            f"{target} cannot be written: there is no folder {target.parent}. Make it, or choose another."
        )


def _write_file(target: Path, predictions: Iterator[Prediction], form: Format, columns: Columns) -> None:
    def content(file: BinaryIO) -> None:
        write(file, predictions, form, columns)

    try:
        durable.write_beside(target, content).replace(target)
        durable.sync_folder(target.parent)
    except OSError as error:
        raise cannot_write(target, error) from error
