"""How a run of a search is judged while it trains: its epochs are reported to its trial, beside those of the others."""

import math
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trainer.config import Config
from trainer.engine.loop import EpochReport
from trainer.errors import PrunedError, first_line
from trainer.records.folder import RunFolder
from trainer.report.witness import AfterEpoch, nothing
from trainer.sweep.options import searched

if TYPE_CHECKING:
    from optuna.trial import Trial

_LEAST = 5
"""Trials that must have come to their end before another is judged by them."""


class Reporter:
    """Is told the epochs of a trial's first run. Raises PrunedError where it is poor beside those before it."""

    def __init__(self, trial: "Trial", monitor: str, *, prunes: bool) -> None:
        self._trial = trial
        self._monitor = monitor
        self._prunes = prunes
        self._known = set(trial.study.get_trials(deepcopy=False)[trial.number].intermediate_values)

    def __call__(self, report: EpochReport, epochs: int) -> None:
        """epochs: of the whole run. Half of them are waited for, and the last comes too late."""
        from optuna.exceptions import StorageInternalError

        try:
            is_poor = self._told(report, epochs)
        except StorageInternalError as error:  # a server that is away for a while is no reason to end a run
            print(f"The study was not told epoch {report.epoch}: {first_line(error)}", file=sys.stderr)
            return
        if is_poor and self._prunes and report.epoch < epochs:
            raise PrunedError(
                f"Pruned after epoch {report.epoch} of {epochs}: the best {self._monitor} so far is poorer than the "
                f"median of the trials before at this epoch."
            )

    def _told(self, report: EpochReport, epochs: int) -> bool:
        """Tells the trial, and whether it is poor by now."""
        from optuna.pruners import MedianPruner

        score = report.val.loss if self._monitor == "val_loss" else report.val.score
        if report.epoch not in self._known:  # a run that goes on from a checkpoint, or rolls back, tells it again
            self._trial.report(score, report.epoch)
            self._known.add(report.epoch)
        self._trial.study.pruner = MedianPruner(_LEAST, n_warmup_steps=math.ceil(epochs / 2))
        return self._trial.should_prune()


def reporter_of(hydra: Any, config: Config) -> AfterEpoch:
    """What is told the epochs of the run that Hydra has launched: the trial of which it is the only run, or the first.

    Raises PrunedError where that is pruned already.
    """
    search = searched(hydra)
    if search is None:
        return nothing
    folder, (number, seed) = Path(hydra.runtime.output_dir).parent, divmod(hydra.job.num, search.seeds)
    first = RunFolder(folder / str(hydra.job.num - seed)).read_summary()
    if first.get("status") == "pruned":
        raise PrunedError(str(first["message"]))
    if seed:
        return nothing
    from optuna.trial import Trial

    from trainer.sweep.study import open_study

    study = open_study(search, folder, config.monitor)
    trial = Trial(study, study.get_trials(deepcopy=False)[number]._trial_id)
    return Reporter(trial, config.monitor, prunes=search.pruner == "median")
