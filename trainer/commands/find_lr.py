"""find_lr: the learning rate that suits a run, found by short trainings before it."""

import math
import shlex
import sys
from pathlib import Path

from trainer.build.training import build
from trainer.config import Config
from trainer.engine.rate_search import Search
from trainer.errors import ConfigError, DivergedError, TrainerError
from trainer.preset.rate import reason, search_of
from trainer.preset.settle import settle
from trainer.report.console import Screen
from trainer.report.pictures import picture_in
from trainer.report.rates import draw_rates, table


def run(config: Config) -> int:
    """Says what each rate reached, the suggested optim.lr and the command to use it; draws the losses into
    output/find_lr. Keeps nothing else. Returns 0.

    Raises DivergedError if every rate diverges, and TrainerError if none learns.
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
        found = search_of(job, screen.counting)
        for line in table(found, job.recipe.criterion.task.score_in_words):
            screen.say(line)
        if found.learns:
            for line in _answer(found):
                screen.say(line)
        model, data, optim = (config.parts[room].name for room in ("model", "data", "optim"))
        picture = picture_in(Path(settings.output).expanduser() / "find_lr", settings.name)
        draw_rates(found, picture, f"{model} on {data} with {optim}: what short trainings reach")
        screen.say(f"picture: {picture}")
    if not found.learns:
        raise _no_rate(found)
    return 0


def _answer(found: Search) -> list[str]:
    chosen = f"optim.lr={found.best.rate:.4g}"
    words = [word for word in sys.argv[2:] if not word.lstrip("+").startswith("optim.lr=")]  # the first is the verb
    return [
        f"suggested: {chosen}: {reason(found)}",
        f"use it: {shlex.join(['python', '-m', 'trainer', *words, chosen])}",
    ]


def _no_rate(found: Search) -> TrainerError:
    advice = "look at the images (python -m trainer preview) and at the layers (python -m trainer inspect)."
    rates = [trial.rate for trial in found.trials]
    if math.isinf(found.lowest.loss):
        return DivergedError(
            f"Training diverges at every rate from {min(rates):.2g} up, so the rate is not at fault: {advice}"
        )
    return TrainerError(
        f"No learning rate from {min(rates):.2g} to {max(rates):.2g} lowers the validation loss within "
        f"{found.lengths[-1]} steps. More steps may show one: raise epochs. If none shows: {advice}"
    )
