"""find_lr: the learning rate that suits this model on these data, found in a few hundred steps."""

import shlex
import sys
from pathlib import Path

from trainer.build.training import Job, build
from trainer.config import Config
from trainer.engine.interrupt import Interrupt
from trainer.engine.loop import steps_per_epoch
from trainer.engine.probe import probe
from trainer.engine.rate_search import Findings, divergence, losses_over, rising_rates, suggest
from trainer.errors import ConfigError, DivergedError, TrainerError
from trainer.preset.settle import settle
from trainer.report.console import Screen
from trainer.report.pictures import picture_in
from trainer.report.rates import draw_rates
from trainer.report.sentences import probe_line


def run(config: Config) -> int:
    """Says the suggested optim.lr, the range that works and the command to use it; draws the losses into
    output/find_lr. Keeps nothing else. Returns 0.

    Raises DivergedError if the loss is no number from the start, and TrainerError if it falls at no rate.
    """
    settings = config.settings
    if settings.resume is not None:
        raise ConfigError(
            "find_lr: resume cannot act, since a run goes on at the rate it was begun with. "
            "Say the words of the run instead, or --config-path RUN_FOLDER."
        )
    with Screen() as screen:
        settled = settle(config, screen.counting, trains=False)
        config = settled.config
        if config.is_probe:
            raise ConfigError(
                "find_lr: finetune=probe takes no steps, so there is no rate to find. Say finetune=probe_first or none."
            )
        job = build(config, screen.counting)
        for note in (*settled.lines, *job.notes):
            screen.say(note)
        if job.recipe.probe is not None:
            screen.say(probe_line(probe(job.state, job.recipe.probe, job.recipe.criterion, Interrupt())))
        rates, losses = _search(job, screen)
        findings = suggest(rates, losses)
        if findings.suggestion is not None:
            for line in _answer(findings):
                screen.say(line)
        model, data, optim = (config.parts[room].name for room in ("model", "data", "optim"))
        picture = picture_in(Path(settings.output).expanduser() / "find_lr", settings.name)
        draw_rates(rates, losses, findings, picture, f"{model} on {data} with {optim}: the loss as the rate rises")
        screen.say(f"picture: {picture}")
    if findings.suggestion is None:
        raise _no_rate(rates, findings)
    return 0


def _search(job: Job, screen: Screen) -> tuple[list[float], list[float]]:
    """The rates tried, up to the divergence, and the loss of each."""
    rates = rising_rates(steps_per_epoch(job.batches))
    losses: list[float] = []
    bar = screen.bar("rates", len(rates))
    for loss in losses_over(job.state, job.batches, job.recipe, rates, job.plan.epochs):
        losses.append(loss)
        bar.move(len(losses))
        if divergence(losses) is not None:
            break
    bar.close()
    return rates[: len(losses)], losses


def _answer(findings: Findings) -> list[str]:
    assert findings.suggestion is not None and findings.works is not None
    chosen = f"optim.lr={findings.suggestion:.2g}"
    low, high = findings.works
    end = "up to 10 it does not diverge" if findings.diverged is None else f"it diverges at {findings.diverged:.2g}"
    words = [word for word in sys.argv[2:] if not word.lstrip("+").startswith("optim.lr=")]  # the first is the verb
    return [
        f"suggested: {chosen}",
        f"works: the loss falls at rates from {low:.2g} to {high:.2g}; {end}",
        f"use it: {shlex.join(['python', '-m', 'trainer', *words, chosen])}",
    ]


def _no_rate(rates: list[float], findings: Findings) -> TrainerError:
    advice = "look at the images (python -m trainer preview) and at the layers (python -m trainer inspect)."
    if findings.diverged is not None and findings.diverged <= 10 * rates[0]:
        return DivergedError(
            f"The loss leaves at a rate of {rates[-1]:.2g} already, so the rate is not at fault: {advice}"
        )
    return TrainerError(
        f"The loss falls at no learning rate from {rates[0]:.2g} to {rates[-1]:.2g}, or by less than it differs from "
        f"batch to batch, within {len(rates)} steps. A larger batch_size and aug=none show smaller falls. "
        f"If none shows: {advice}"
    )
