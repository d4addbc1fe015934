"""Who runs the runs of a sweep: this process, one after the other, or a plugin of Hydra's, side by side in others."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

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
EXTRAS = {"joblib": "sweep", "submitit_local": "sweep", "submitit_slurm": "sweep", "ray": "ray"}
"""What brings those that Hydra itself has not."""


@dataclass(frozen=True)
class Launcher:
    """The launcher of a sweep. is_here: whether its runs are run by this process. at_once: most that it begins together
    on this machine and gives as many threads each as there are cores; None where it shares them out itself."""

    name: str = "basic"
    at_once: int | None = None

    @property
    def is_here(self) -> bool:
        return self.name == "basic"


def launcher_of(hydra: Mapping[str, Any], count: int) -> Launcher:
    """The launcher that Hydra's settings say, of a sweep of so many runs."""
    name = next(name for name, target in LAUNCHERS.items() if target == hydra["launcher"]["_target_"])
    sweeper = hydra["sweeper"]
    batch = [count, *(size for key in ("max_batch_size", "n_jobs") if (size := sweeper.get(key)))]
    return Launcher(name, min(batch) if name == "submitit_local" else None)


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
