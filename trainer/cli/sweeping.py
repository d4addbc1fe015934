"""What the words say of a sweep besides its values: who chooses among them, and who runs its runs."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import yaml
from hydra import compose as hydra_compose
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Glob
from hydra.errors import HydraException
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException

from trainer.cli.compose import Origin, all_of, besides, forced, hydra_at, names_in, overrides_in, valid
from trainer.cli.words import quoted
from trainer.config import GROUPS
from trainer.errors import ConfigError
from trainer.records.folder import literal
from trainer.sweep.launcher import Launcher, launcher_of
from trainer.sweep.options import Search, searched

_OURS = (
    "hydra.sweep.subdir=${hydra.job.num}",
    "hydra.output_subdir=null",
    "hydra/job_logging=disabled",
    "hydra/hydra_logging=disabled",
)
"""What Hydra is told besides of a sweep: its runs leave what any run leaves, and no more."""


def launcher_in(words: Sequence[str], origin: Origin, count: int) -> Launcher:
    """The launcher of a sweep of so many runs that the words, or a config, say."""
    parsed = [OverridesParser.create().parse_override(word) for word in words]
    said = [forced(each, all_of(each)) for each in parsed if not each.is_sweep_override()]
    with hydra_at(origin):
        composed = hydra_compose(origin.name, [*said, *besides(origin)], return_hydra_config=True)
    return launcher_of(composed.hydra, count)


def varied_in(words: Sequence[str]) -> frozenset[str]:
    """The keys and groups to which several values are said."""
    parsed = [OverridesParser.create().parse_override(word) for word in words]
    return frozenset(each.key_or_group for each in parsed if each.is_sweep_override())


def search_in(words: Sequence[str], origin: Origin) -> Search | None:
    """The search that the words, or a config, ask for; None where it is another sweeper.

    Raises ConfigError with what is wrong with its name or options. What is wrong with the rest is left to `compose`.
    """
    parsed = [each for word in words for each in overrides_in(word, True, []) if not each.is_sweep_override()]
    errors: list[str] = []
    with hydra_at(origin) as loader:
        valid([each for each in parsed if each.key_or_group.startswith("hydra/sweeper")], loader, origin, errors)
        parsed = valid(parsed, loader, origin, [])
    if errors:  # what else is said depends on it
        raise ConfigError("\n".join(errors))
    told = [
        f"{'++' if each.key_or_group.startswith('hydra.sweeper.') else ''}{forced(each, all_of(each))}"
        for each in parsed
        if each.key_or_group in GROUPS or each.is_hydra_override()
    ]  # an option that is not there is told by name, then
    try:
        with hydra_at(origin):
            hydra = hydra_compose(origin.name, [*told, *besides(origin)], return_hydra_config=True).hydra
    except (HydraException, OmegaConfBaseException, yaml.YAMLError, UnicodeDecodeError):
        return None
    return searched(hydra)


def listed(word: str, origin: Origin) -> str:
    """The word; a pattern for parts, glob(...), as the choice among those that it stands for."""
    try:
        override = OverridesParser.create().parse_override(word)
    except HydraException:
        return word
    pattern: Any = override.value()
    group = override.key_or_group
    if not isinstance(pattern, Glob) or group not in GROUPS:
        return word
    with hydra_at(origin) as loader:
        names = pattern.filter(names_in(group, loader, origin))
    return f"{group}=choice({','.join(names)})" if names else word


def launched(words: Sequence[str], origin: Origin, folder: Path, job: Callable[[DictConfig], Any]) -> Any:
    """What Hydra's sweeper gives back, after a launcher has run the job for each config that the words make.

    Hydra calls the job with the composed config; each has a folder of its own in this one.
    """
    parse = OverridesParser.create().parse_override
    checked_as = [forced(word, all_of(word)) for word in map(parse, words)]
    said = [*checked_as, *besides(origin), f"hydra.sweep.dir={quoted(literal(str(folder.absolute())))}", *_OURS]
    with hydra_at(origin):
        hydra = GlobalHydra.instance().hydra
        assert hydra is not None
        return hydra.multirun(origin.name, job, said)
