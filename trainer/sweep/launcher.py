"""Who runs the runs of a sweep: this process, one after the other, or a plugin of Hydra's, side by side in others."""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from hydra.core.config_store import ConfigStore
from omegaconf import OmegaConf

from trainer.errors import did_you_mean
from trainer.system.threads import THREADS, cores

_PLUGINS = "hydra_plugins.hydra_"
LAUNCHERS = {
    "basic": "hydra._internal.core_plugins.basic_launcher.BasicLauncher",
    "joblib": f"{_PLUGINS}joblib_launcher.joblib_launcher.JoblibLauncher",
    "submitit_local": f"{_PLUGINS}submitit_launcher.submitit_launcher.LocalLauncher",
    "submitit_slurm": f"{_PLUGINS}submitit_launcher.submitit_launcher.SlurmLauncher",
    "ray": f"{_PLUGINS}ray_launcher.ray_launcher.RayLauncher",
}
"""The launchers that a sweep may have, by the names that are said, and the class that each is."""
_LISTED = ", ".join(LAUNCHERS)
EXTRAS = {"joblib": "sweep", "submitit_local": "sweep", "submitit_slurm": "sweep", "ray": "ray"}
"""What brings those that Hydra itself has not."""


_STORE = 78_643_200
"""Bytes of memory for what Ray's processes share: the least that it takes, for jobs are small."""


@dataclass(frozen=True)
class Launcher:
    """The launcher of a sweep."""

    name: str = "basic"
    at_once: int | None = None
    """Runs that it begins together on this machine without sharing out the threads; None where it does that itself."""
    ray: dict[str, Any] = field(default_factory=dict)
    """What ray.init is told."""

    @property
    def is_here(self) -> bool:
        """Whether this process runs the runs."""
        return self.name == "basic"


def launcher_of(hydra: Any, count: int) -> Launcher:
    """The launcher that Hydra's settings say, of a sweep of so many runs."""
    name = next(name for name, target in LAUNCHERS.items() if target == hydra.launcher._target_)
    if name == "ray":
        told: Any = OmegaConf.to_container(hydra.launcher.ray.init, resolve=True)
        return Launcher(name, ray=told)
    sweeper = hydra.sweeper
    batch = sweeper.n_jobs * sweeper.seeds if "n_jobs" in sweeper else sweeper.max_batch_size or count
    return Launcher(name, min(batch, count) if name == "submitit_local" else None)


def unavailable(names: Sequence[str], installed: Sequence[str]) -> str:
    """Why the launchers of these names cannot run a sweep; nothing where there is one, and it is installed."""
    name = names[0]
    if len(names) > 1:
        return "hydra/launcher: one launcher runs the whole sweep. Give one."
    if name in EXTRAS and name not in installed:
        return (
            f"hydra/launcher={name}: its packages are not installed. Install them: pip install "
            f"'trainer[{EXTRAS[name]}]'. Without a launcher the runs go one after the other."
        )
    if name not in installed:
        return f"hydra/launcher: there is no launcher '{name}'.{did_you_mean(name, LAUNCHERS)} There is {_LISTED}."
    return ""


def unknown_option(name: str, key: str) -> str:
    """That a launcher of this name has no option of this key, and which is the nearest; nothing where it has."""
    options = options_of(name)
    option = key.removeprefix("hydra.launcher.").partition(".")[0]
    if not options or option in options:
        return ""
    own = [each for each in options if each != "_target_"]
    return f"{key}: {name} has no such option.{did_you_mean(option, own)} It takes {', '.join(own) or 'none'}."


def options_of(name: str) -> dict[str, Any]:
    """The options of a launcher of Hydra's or a plugin's, with their defaults; none where a config has made it up."""
    stored = ConfigStore.instance().repo["hydra"]["launcher"].get(f"{name}.yaml")
    options: Any = OmegaConf.to_container(stored.node) if stored else {}
    return dict(options)


@contextmanager
def started(launcher: Launcher) -> Iterator[None]:
    """While it lasts, there is a Ray cluster where the launcher wants one.

    Hydra's plugin would connect to it later, after which SIGTERM were Ray's to answer, and with words that a cluster
    which is there already refuses.
    """
    if launcher.name != "ray":
        yield
        return
    import ray

    own = {} if launcher.ray.get("address") else {"object_store_memory": _STORE, "include_dashboard": False}
    ray.init(**{**own, "log_to_driver": False, **launcher.ray})
    try:
        yield
    finally:
        ray.shutdown()


@contextmanager
def shared_threads(launcher: Launcher) -> Iterator[None]:
    """While it lasts, processes that are started have their share of the cores, unless the environment says another."""
    if launcher.at_once is None or THREADS in os.environ:
        yield
        return
    os.environ[THREADS] = str(max(1, cores() // launcher.at_once))
    try:
        yield
    finally:
        del os.environ[THREADS]
