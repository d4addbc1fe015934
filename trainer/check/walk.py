"""The walk: the config composed and built, and every check of it, in a minute at most."""

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from trainer.build.data import open_source
from trainer.build.training import Job, build
from trainer.check import cost, first_loss, handful, layers, plan
from trainer.check.cost import Cost
from trainer.check.data import OnData, of_data
from trainer.check.handful import Learnt
from trainer.check.pairs_picture import draw_pairs
from trainer.check.sample import in_part, size_of
from trainer.config import Config
from trainer.data.limits import limited
from trainer.data.listing import in_two_classes, in_two_parts
from trainer.data.source import Source
from trainer.doctor.finding import Finding, in_order
from trainer.errors import DataError, told
from trainer.model.probe import probe
from trainer.preset.settle import settle
from trainer.report.console import Screen
from trainer.report.pictures import picture_in
from trainer.report.sentences import opening

SECONDS = 60.0
"""What all of it may take."""
_TO_LEARN, _AT_LEAST, _TO_TIME = 15.0, 5.0, 2.0
"""Seconds of these for a handful of images, at most and where the data took all; and for steps that are timed."""
_LOOKED_AT = 32
"""Images that the first loss is the mean of, and that the layers are shown."""


@dataclass(frozen=True)
class Walk:
    """What was found."""

    lines: tuple[str, ...]
    """What the run is, what it decides for itself, and what it will take."""
    findings: tuple[Finding, ...]
    """The gravest first."""
    cost: Cost
    picture: Path | None
    """Of what is there twice."""
    left_out: tuple[str, ...]
    """What was not looked at, and why."""


def walk(config: Config, screen: Screen) -> Walk:
    """Takes the config for a walk. Writes nothing but a picture of what is there twice.

    Raises what a run would raise before its first step; files that cannot be read are a finding here.
    """
    ends = time.monotonic() + SECONDS
    settled = settle(config, screen.counting)
    config = replace(settled.config, settings=replace(settled.config.settings, compile=False))  # it takes a minute
    source, limits = _taken(config)
    on_data = of_data(config, source, screen.counting)
    size = size_of(config, source)
    job = build(in_part(config, size, readable=_is_readable(on_data)), screen.counting)
    begun = first_loss.measured(job, handful.some_images(job, _LOOKED_AT))
    left = min(_TO_LEARN, max(_AT_LEAST, ends - time.monotonic()))
    tried = {} if config.is_probe else handful.learn(config, job, left, screen.counting)
    made = list(_of_layers(config, job, learns=handful.learns(tried)))
    causes = [each for each in in_order(made) if each.severity != "note"]
    findings = [
        *on_data.findings,
        *made,
        *_of_plan(config, source, job, size.steps),
        *first_loss.of_first_loss(begun, trained=_is_trained(config)),
        *handful.of_handful(tried, config, job, size.steps * job.plan.epochs, causes),
    ]
    takes = cost.measured(job, size, _TO_TIME)  # last: it uses the state up
    decided = _decided([*settled.lines, *source.losses, *limits], source, job, findings)
    measured = [first_loss.in_words(begun), *handful.in_words(tried), *cost.in_words(takes)]
    return Walk(
        (*opening(config, {**job.about, "images": size.images()}, Path())[:2], *on_data.lines, *decided, *measured),
        tuple(in_order(findings)),
        takes,
        _drawn(config, source, on_data),
        tuple(_left_out(config, tried)),
    )


def _taken(config: Config) -> tuple[Source, tuple[str, ...]]:
    """The images that are used, none of them decoded yet, and what is said of that."""
    source, settings = open_source(config), config.settings
    with told(source.losses, DataError):
        return limited(source, settings.limit_train, settings.limit_val, settings.limit_test)


def _drawn(config: Config, source: Source, on_data: OnData) -> Path | None:
    """The picture of what is there twice. Raises OutputError."""
    if not on_data.pairs:
        return None
    picture = picture_in(Path(config.settings.output) / "check", config.settings.name)
    draw_pairs(on_data.pairs, source, picture)
    return picture


def _decided(lines: Sequence[str], source: Source, job: Job, findings: Sequence[Finding]) -> list[str]:
    """What the run says before it begins, but for what findings say, and what is so in the walk alone."""
    said = {*(finding.evidence for finding in findings), *in_two_parts(source), *in_two_classes(source), *job.losses}
    of_the_walk = ("limit_", "data.cache=", "All that could not be read")  # it looks at part of the set, and keeps none
    return [*lines, *(note for note in job.notes if note not in said and not note.startswith(of_the_walk))]


def _of_plan(config: Config, source: Source, job: Job, steps: int) -> Iterator[Finding]:
    yield from plan.of_learning(job)
    yield from plan.of_validation(job)
    if not config.is_probe:
        yield from plan.of_schedule(config, steps)
        yield from plan.of_early_stop(job)
    yield from plan.of_batches(config, job, steps)
    yield from plan.of_idle_words(config, source, job, steps)


def _of_layers(config: Config, job: Job, *, learns: bool) -> Iterator[Finding]:
    """What passes through a network that is drawn, and what it is made of; of trained weights only the latter."""
    model, options, init = job.state.model, config.parts["model"].options, config.parts["init"].name
    images = handful.some_images(job, _LOOKED_AT).images.float()  # no autocast here
    values = probe(model, images)
    biased = layers.biased_before_norm(model, images[:2])
    yield from layers.of_made(values, options, init, biased, normed=layers.has_norms(model))
    if not _is_trained(config):
        yield from layers.of_values(values, options, init, learns=learns)


def _is_trained(config: Config) -> bool:
    return config.parts["model"].options.get("weights") is not None


def _is_readable(on_data: OnData) -> bool:
    return all(finding.rule != "unreadable" for finding in on_data.findings)


def _left_out(config: Config, tried: Mapping[float, Learnt]) -> Iterator[str]:
    if not tried and not config.is_probe:
        yield "whether a handful of images is learnt by heart: the steps take too long here"
