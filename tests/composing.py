"""Hydra composes every command anew from the same fifteen files, in a quarter of a second: most of a tiny run.

Here, what does not change from one command to the next is worked out once a process: the text of a YAML file, and what
a choice of parts makes of all of them. Values are laid over that as ever. A command that searches other folders for
files is composed as it would be without this.
"""

import copy
import dataclasses
from pathlib import Path
from typing import IO, Any

from hydra._internal import config_loader_impl
from hydra._internal.config_repository import ConfigRepository
from hydra._internal.defaults_list import DefaultsList
from hydra.core.override_parser.types import Override
from omegaconf import DictConfig, OmegaConf

from trainer.config import conf_folder


def compose_once() -> None:
    """From now on, in this process."""
    _parse_once()
    _choose_once()
    # Sources are copied for each command lest they be exchanged, which a shallow copy prevents as well.
    ConfigRepository.__deepcopy__ = lambda self, memo: copy.copy(self)  # type: ignore[attr-defined]


def _parse_once() -> None:
    load, parsed = OmegaConf.load, dict[str, Any]()

    def remembering(file: str | Path | IO[str]) -> object:
        if isinstance(file, str | Path):
            return load(file)
        text = file.read()
        if text not in parsed:
            file.seek(0)
            parsed[text] = OmegaConf.to_container(load(file))
        return OmegaConf.create(parsed[text])

    OmegaConf.load = remembering  # type: ignore[method-assign,assignment]


def _choose_once() -> None:
    loader = config_loader_impl.ConfigLoaderImpl
    listed, composed = config_loader_impl.create_defaults_list, loader._compose_config_from_defaults_list
    found: dict[tuple[object, ...], DefaultsList] = {}
    configs: dict[int, DictConfig] = {}

    def list_once(
        repo: Any, config_name: str, overrides_list: list[Override], prepend_hydra: bool, skip_missing: bool
    ) -> DefaultsList:
        folders = [Path(source.path) for source in repo.get_sources() if source.scheme() == "file"]
        said = [each for each in overrides_list if not each.is_sweep_override()]
        choices = [each for each in said if repo.group_exists(each.key_or_group)]
        if folders != [conf_folder()] or any(isinstance(each.value(), dict) for each in choices):
            return listed(repo, config_name, overrides_list, prepend_hydra, skip_missing)
        key = (config_name, prepend_hydra, skip_missing, *(each.input_line for each in choices))
        if key not in found:
            found[key] = listed(repo, config_name, overrides_list, prepend_hydra, skip_missing)
        values = [each for each in said if each not in choices]
        return dataclasses.replace(found[key], config_overrides=values)

    def compose(self: Any, defaults: Any, repo: Any) -> DictConfig:
        if not any(each.defaults is defaults for each in found.values()):
            return composed(self, defaults, repo)
        if id(defaults) not in configs:
            configs[id(defaults)] = composed(self, defaults, repo)
        return copy.deepcopy(configs[id(defaults)])

    config_loader_impl.create_defaults_list = list_once
    loader._compose_config_from_defaults_list = compose  # type: ignore[method-assign]
