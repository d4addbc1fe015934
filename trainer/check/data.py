"""All that is looked at in a set before a run: its files and its pictures. Nothing is written or cached."""

from collections.abc import Iterator
from dataclasses import dataclass

from trainer.check import counts, duplicates, files
from trainer.check.colour import has_colours, of_lost_colours, of_needless_colours
from trainer.check.duplicates import Pair
from trainer.check.mirrored import of_mirrored
from trainer.check.seen import Seen, look
from trainer.check.statistics import of_statistics
from trainer.check.tiny import lesson_of, taught
from trainer.config import Config
from trainer.data.source import Source
from trainer.doctor.finding import Finding
from trainer.feed.pack import Progress
from trainer.model.expects import expected


@dataclass(frozen=True)
class OnData:
    """What was found."""

    lines: tuple[str, ...]
    """What there is, where nothing may be wrong."""
    findings: tuple[Finding, ...]
    pairs: tuple[Pair, ...]
    """The pictures that are there twice, the gravest first."""


def of_data(config: Config, taken: Source, progress: Progress) -> OnData:
    """All of it. config: a settled one. taken: its data, as far as limits leave them."""
    data, model = config.parts["data"].options, config.parts["model"]
    seen = look(taken, progress)
    twice = duplicates.find(taken, seen)
    findings = [
        *files.of_files(seen, taken, data.get("on_error") == "skip"),
        *counts.of_counts(taken, config.parts["loss"].options.get("class_weights")),
        *duplicates.of_duplicates(twice),
        *of_statistics(taken, data.get("normalise"), expected(model.name, model.options)),
        *_tried(config, taken, seen, progress),
    ]
    return OnData((*counts.in_words(taken), *files.in_words(seen)), tuple(findings), twice.pairs)


def _tried(config: Config, taken: Source, seen: Seen, progress: Progress) -> Iterator[Finding]:
    """What tiny networks tell."""
    options, aug = config.parts["data"].options, config.parts["aug"].options
    is_grey, coloured = taken.channels == 1, has_colours(seen)
    if not is_grey and "grey" in options and config.parts["model"].options.get("weights") is None:
        yield from of_needless_colours(seen)
    lesson = lesson_of(seen, taken.classes, grey=is_grey)
    if lesson is None:
        return
    total = 2 + (is_grey and coloured)
    progress("Teaching tiny networks", 0, total)
    plain = taught(lesson)
    progress("Teaching tiny networks", 1, total)
    mirrors = taught(lesson, mirrors=True)
    progress("Teaching tiny networks", 2, total)
    yield from of_mirrored(lesson, plain, mirrors, flips=aug.get("flip", 0) != 0)
    if is_grey and coloured and (in_colour := lesson_of(seen, taken.classes, grey=False)):
        yield from of_lost_colours(lesson, plain, taught(in_colour))
        progress("Teaching tiny networks", total, total)
