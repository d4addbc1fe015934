"""Going on with a run: what may have changed since it was begun, and the way back to where its checkpoint was taken."""

from typing import Any

from trainer.build.training import Job
from trainer.config import FIXED_ON_RESUME, Config, differences
from trainer.data.listing import changes
from trainer.engine.loop import steps_per_epoch
from trainer.errors import CheckpointError, ConfigError, DataError, both_lists, first_line
from trainer.records.files import read_files
from trainer.records.folder import RunFolder
from trainer.records.metrics import rewind


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


def go_on(folder: RunFolder, config: Config, job: Job, saved: dict[str, Any]) -> list[str]:
    """Puts state and records back to where the checkpoint was taken. Gives what was changed since, and allowed."""
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
    try:
        put_back(folder, job, saved)
    except (KeyError, ValueError, RuntimeError, TypeError, AttributeError) as error:
        reason = f"with {'; '.join(allowed)}" if allowed else first_line(error)
        raise CheckpointError(
            f"{folder.checkpoints}: the state that was saved does not fit this run: {reason}. "
            f"Say the settings as before, or start a new run under another name."
        ) from error
    return allowed


def put_back(folder: RunFolder, job: Job, saved: dict[str, Any]) -> None:
    """Puts state and records back to where a checkpoint was taken, in the count of steps that an epoch has now.

    Raises KeyError, ValueError, RuntimeError, TypeError or AttributeError if it is of another kind of run.
    """
    steps_before, steps_now = int(saved["steps_per_epoch"]), steps_per_epoch(job.batches, job.recipe.accumulate)
    job.state.load_state_dict(saved)
    rewind(folder.metrics, job.state.step, job.state.epoch, steps_before, steps_now)
    job.state.renumber(steps_before, steps_now)


def _changed_files(folder: RunFolder, job: Job) -> str:
    """What happened to the data set since the run was begun, in words."""
    before = read_files(folder.files)
    if before is None:
        return "other pixels, labels or classes"
    return changes(before, job.files)
