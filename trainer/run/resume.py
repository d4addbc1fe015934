"""Going on with a run: what may have changed since it was begun, and the way back to where its checkpoint was taken."""

from typing import Any

from trainer.build.training import Job
from trainer.config import FIXED_ON_RESUME, Config, differences
from trainer.data.listing import changes
from trainer.engine.batch import steps_per_epoch
from trainer.engine.checkpoint import BEST
from trainer.engine.memories import without_places
from trainer.errors import CheckpointError, ConfigError, DataError, both_lists, first_line
from trainer.records.files import read_files
from trainer.records.folder import RunFolder
from trainer.records.metrics import rewind
from trainer.sched.schedule import Plateau

_REGROUPING = {"optim.weight_decay", "optim.decay_on", "optim.stage_decay"}
"""What decides which parameters are in a group."""


def refuse_changes(folder: RunFolder, config: Config, saved: dict[str, Any]) -> None:
    """Raises ConfigError with all that the config may not change, and CheckpointError if there is no telling."""
    try:
        refused, _ = differences(saved["config"], config)
    except (KeyError, TypeError) as error:
        raise CheckpointError(f"{folder.checkpoints}: the checkpoint does not tell of what run it is.") from error
    if refused:
        changed = dict.fromkeys(line.partition(":")[0] for line in refused)
        ways = ["Say them as before", "start a new run under another name"]
        if not {"epochs", *FIXED_ON_RESUME} & set(changed):
            keys = ",".join(
                dict.fromkeys(room if f"{(room := key.split('.')[0])}.name" in changed else key for key in changed)
            )
            ways.append(f"accept that it is no longer the same run: resume_allow=[{keys}]")
        raise ConfigError(
            f"{folder.path} was begun with other settings, which a resumed run cannot change:\n  "
            + "\n  ".join(refused)
            + f"\n{', '.join(ways[:-1])}, or {ways[-1]}."
        )


def go_on(folder: RunFolder, config: Config, job: Job, saved: dict[str, Any]) -> tuple[list[str], list[str]]:
    """Puts state and records back to where the checkpoint was taken.

    Gives what was changed since, and allowed; and what begins anew for it.
    """
    allowed = differences(saved["config"], config)[1]
    classes = saved.get("classes", [])
    if classes != job.about["classes"]:
        raise CheckpointError(
            f"{folder.path} was trained on other classes than these data have: "
            f"{both_lists(classes, job.about['classes'])}. "
            f"Restore the data, or start a new run from its weights: model.weights={folder.checkpoints / 'best.pt'}"
        )
    if folder.read_about()["fingerprint"] != job.about["fingerprint"]:
        if "data" not in config.settings.resume_allow:
            raise DataError(
                f"The data have changed since {folder.path} was begun: {_changed_files(folder, job)}. "
                f"Restore them, start a new run under another name, or accept that it is no longer the same run: "
                f"resume_allow=[data]"
            )
        allowed.append(f"the data have changed: {_changed_files(folder, job)}")
    if saved["format"] == 1 and {line.partition(":")[0] for line in allowed} & _REGROUPING:
        saved = {**saved, "optimizer": without_places(saved["optimizer"])}
    try:
        unfit, anew = put_back(folder, config, job, saved)
    except (KeyError, ValueError, RuntimeError, TypeError, AttributeError) as error:
        reason = f"with {'; '.join(allowed)}" if allowed else first_line(error)
        raise CheckpointError(
            f"{folder.checkpoints}: the state that was saved does not fit this run: {reason}. "
            f"Say the settings as before, or start a new run under another name."
        ) from error
    return [*allowed, *unfit], anew


def put_back(folder: RunFolder, config: Config, job: Job, saved: dict[str, Any]) -> tuple[list[str], list[str]]:
    """Puts state and records back to where a checkpoint was taken, in the count of steps that an epoch has now.

    Gives in words what of the state does not fit, and so begins anew; and, one line each, what begins anew since what
    was measured until then cannot be compared with what follows.
    Raises KeyError, ValueError, RuntimeError, TypeError or AttributeError if it is of another kind of run.
    """
    steps_before, steps_now = int(saved["steps_per_epoch"]), steps_per_epoch(job.batches)
    unfit = job.state.load_state_dict(saved)
    rewind(folder.metrics, job.state.step, job.state.epoch, steps_before, steps_now)
    job.state.renumber(steps_before, steps_now)
    if not isinstance(job.recipe.schedule, Plateau):  # what it had left of the rate is no other schedule's
        job.state.plateau_share, job.state.plateau_epochs = 1.0, 0
    changed = differences(saved["config"], config)[1]
    lines = []
    if any(line.startswith("loss.") for line in changed):
        job.state.learn_anew()
        lines.append("It is another loss: where it begins, by which a divergence is found, is noted anew.")
    if (reason := _measured_otherwise(job, saved, changed)) is not None and job.state.epoch:
        stays = f" {BEST}, of epoch {job.state.best_epoch}, stays until then." if job.state.best_epoch else ""
        job.state.measure_anew()
        lines.append(f"Best, early stop and plateau begin anew with the next epoch: {reason}.{stays}")
    return unfit, lines


def _measured_otherwise(job: Job, saved: dict[str, Any], changed: list[str]) -> str | None:
    """Why scores of the checkpoint cannot be compared with those to come; None if they can.

    changed: what was said otherwise since then, and allowed.
    """
    if "validation_fingerprint" not in saved:
        return "the scores so far are of an earlier release, whose val_loss was the training loss"
    if saved["validation_fingerprint"] != job.about["validation_fingerprint"]:
        return "the scores so far are of other validation images"
    if any(line.startswith("data.") for line in changed):
        return "the scores so far are of validation images that were prepared otherwise"
    return None


def _changed_files(folder: RunFolder, job: Job) -> str:
    """What happened to the data set since the run was begun, in words."""
    before = read_files(folder.files)
    if before is None:
        return "other pixels, labels or classes"
    return changes(before, job.files)
