"""What becomes of a run that has diverged: it ends with all that is known, or goes back and halves its rate."""

from trainer.build.training import Job
from trainer.config import Config
from trainer.engine.batch import steps_per_epoch
from trainer.engine.checkpoint import Checkpoints
from trainer.errors import CheckpointError, DivergedError
from trainer.records.folder import RunFolder
from trainer.records.kept import discard_kept
from trainer.records.metrics import MetricsFile
from trainer.run.resume import put_back

MOST_ROLLBACKS = 3
_NAMED = 3


def may_go_back(config: Config, job: Job) -> bool:
    """Whether a run that has diverged is to go on from its last good checkpoint."""
    return config.settings.on_nonfinite == "rollback" and job.state.rollbacks < MOST_ROLLBACKS


def go_back(error: DivergedError, folder: RunFolder, config: Config, job: Job, checkpoints: Checkpoints) -> str:
    """Puts state and records back to the last good checkpoint, with half the rate from there on. Gives what to say.

    The new state is saved at once: a run that is killed from here on goes on with the new rate. Raises DivergedError,
    as give_up words it, if no checkpoint is whole.
    """
    try:
        saved = checkpoints.load_last()
    except CheckpointError:
        raise give_up(error, folder, job, checkpoints) from error
    assert saved is not None  # a run that may go back begins with a checkpoint
    reason = _with_images(error, job)
    put_back(folder, config, job, saved)
    job.state.rollbacks += 1
    said = (
        f"{reason} Back to step {job.state.step} with half the rate, rollback {job.state.rollbacks} "
        f"of {MOST_ROLLBACKS} at most."
    )
    discard_kept(folder.checkpoints, job.state.epoch)
    with MetricsFile(folder.metrics) as metrics:
        metrics.append("event", job.state.step, job.state.epoch, event="rolled back", message=said)
    checkpoints.save_last(job.state.state_dict())
    return said


def give_up(error: DivergedError, folder: RunFolder, job: Job, checkpoints: Checkpoints) -> DivergedError:
    """The error that ends the run, entered in the records: with its images, what was tried, what is left."""
    words = _with_images(error, job)
    if job.state.rollbacks:
        words += f" It went back {job.state.rollbacks} times before, and halved its rate each time."
    told = DivergedError(f"{words} {what_stays(checkpoints)}", error.advice, error.step)
    with MetricsFile(folder.metrics) as metrics:
        metrics.append("event", job.state.step, job.state.epoch, event="failed", message=str(told))
    return told


def what_stays(checkpoints: Checkpoints) -> str:
    """The sentence that tells what there is to go on from where a state is not saved."""
    try:
        saved = checkpoints.load_last()
    except CheckpointError:
        return "No checkpoint that was written before is whole."
    return "No checkpoint was written before." if saved is None else f"The checkpoint of step {saved['step']} stays."


def _with_images(error: DivergedError, job: Job) -> str:
    """What went wrong, and the images of the step at which it began."""
    if error.step is None:
        return error.what
    epoch, number = divmod(error.step - 1, steps_per_epoch(job.batches))
    indices = job.batches.samples(epoch, number).tolist()
    named = ", ".join(job.batches.store.keys[index] for index in indices[:_NAMED])
    more = f" and {len(indices) - _NAMED} more" if len(indices) > _NAMED else ""
    return f"{error.what} Step {error.step} was made of the images {named}{more}."
