"""What a run chooses for itself before it is built: each choice is told and stored, and any word of the user's wins.

A run that goes on keeps what it has chosen, and a stored config holds it as if it had been said (preset: none).
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from trainer.build.data import open_source
from trainer.config import OWN_PICTURES, ROOMS, Config
from trainer.data.groups import can_be_held_out
from trainer.data.limits import limited
from trainer.data.source import images_of_each
from trainer.errors import ConfigError, DataError, told
from trainer.feed.pack import Progress
from trainer.preset.budget import fit_into
from trainer.preset.draft import RATE, Draft, with_values
from trainer.preset.network import as_the_run_had
from trainer.preset.rate import choose_rate
from trainer.preset.recipe import Pictures, suit
from trainer.preset.views import as_the_weights_saw
from trainer.records.folder import RunFolder, read_json
from trainer.system.elapsed import start_of_run


@dataclass(frozen=True)
class Settled:
    """The config with all choices made."""

    config: Config
    chosen: dict[str, Any]
    """Each choice by its key, as run.json holds them."""
    lines: tuple[str, ...]
    """Each choice with its reason, for the user to read before the run."""
    budget: str | None
    """The time that the run was begun with, where epochs are chosen by one."""


def settle(config: Config, progress: Progress, *, trains: bool = True) -> Settled:
    """The config of a new run. Raises ConfigError, DataError or CheckpointError.

    trains: whether its steps will be taken, so that a budget is worth measuring them, and a rate worth a search.
    """
    begun, settings, draft = start_of_run(), config.settings, Draft(config)
    is_sought = draft.is_sought(RATE)
    if settings.preset == "auto":
        pictures = _pictures(config) if _chooses(config) else None
        as_the_run_had(draft)
        known = as_the_weights_saw(draft)
        if pictures is not None:
            suit(draft, replace(pictures, fixed=known is not None and known.fixed))
    if draft.is_sought(RATE):  # no recipe has one
        draft.choose(RATE, draft.default(RATE), "where training would search, this is where it begins.")
    if settings.budget is not None and trains:
        fit_into(draft, settings.budget, begun, progress, searches=is_sought)
    if is_sought and trains:
        choose_rate(draft, progress)
    return Settled(_done(draft.config), draft.chosen, draft.lines, settings.budget)


def settled_in(folder: RunFolder, config: Config, progress: Progress) -> Settled:
    """The same for the run in a folder: what it chose when it was begun stays, where nothing else is said now."""
    about = read_json(folder.about)
    if not folder.holds_a_run or ("chosen" not in about and not any(folder.checkpoints.glob("*.pt"))):
        return settle(config, progress)
    if config.settings.budget not in (None, about.get("budget")):
        raise ConfigError("budget: it acts on a new run, and this one goes on. Say epochs=N.")
    kept = about.get("chosen")
    kept = kept if isinstance(kept, dict) else {}  # of before there was a choice
    return Settled(as_before(config, kept), kept, (), about.get("budget"))


def as_before(config: Config, chosen: Mapping[str, Any]) -> Config:
    """The config of a run that goes on, with what it chose when it began, where nothing else is said now."""
    draft = Draft(config)
    draft.choose_all({key: value for key, value in chosen.items() if key in ROOMS})  # whose options the others are
    draft.choose_all({key: value for key, value in chosen.items() if key not in ROOMS})
    if draft.is_sought(RATE):
        raise ConfigError("optim.lr: auto acts on a new run, and this one goes on at the rate it has. Leave it out.")
    return _done(draft.config)


def _chooses(config: Config) -> bool:
    """Whether a whole recipe is to be chosen: for pictures of one's own, unless another recipe is."""
    own = config.parts["data"].name in OWN_PICTURES and "experiment" not in config.said
    return own or "preset" in config.said


def _pictures(config: Config) -> Pictures:
    source, settings = open_source(config), config.settings
    with told(source.losses, DataError):
        taken, _ = limited(source, settings.limit_train, settings.limit_val, settings.limit_test)
    spare = images_of_each(taken.train.labels, len(source.classes)).max() > 1
    groups = taken.train.groups
    may = groups is None or can_be_held_out(groups, taken.train.labels)
    return Pictures(len(taken.train), source.size.side, can_be_held_out=bool(spare) and may)


def _done(config: Config) -> Config:
    return with_values(config, {"preset": "none", "budget": None})
