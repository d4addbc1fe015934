"""train: one run from its config to its summary, new or resumed."""

import shlex
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from trainer.build import Job, build
from trainer.config import Config, differences
from trainer.engine.checkpoint import Checkpoints
from trainer.engine.health import alarm
from trainer.engine.interrupt import Interrupt, Interrupted
from trainer.engine.loop import evaluate, fit, steps_per_epoch
from trainer.engine.metrics import Scores
from trainer.errors import CheckpointError, ConfigError, DataError, StoppedError, TrainerError, first_line
from trainer.records.about import environment, not_bit_exact
from trainer.records.folder import RunFolder, existing_folder, new_folder, read_json, write_json
from trainer.records.metrics import MetricsFile, rewind
from trainer.records.summary import summarise
from trainer.report.console import Screen
from trainer.report.curves import draw_curves
from trainer.report.sentences import closing, opening
from trainer.report.witness import Pace, Witness


def run(config: Config) -> int:
    """Trains in the folder that the config names. Returns the exit code 0; every other end is an error."""
    settings = config.settings
    output = Path(settings.output).expanduser()
    if settings.resume is None:
        return run_in(new_folder(output, settings.name), config)
    if settings.resume != "auto":
        return run_in(existing_folder(Path(settings.resume).expanduser()), config)
    if settings.name is None:
        raise ConfigError("resume: auto wants the name of the run to go on with: name=NAME. Or say resume=FOLDER.")
    folder = RunFolder(output / settings.name)
    return run_in(folder if folder.holds_a_run else new_folder(output, settings.name), config)


def run_in(folder: RunFolder, config: Config, overrides: list[str] | None = None) -> int:
    """Trains in this folder, and goes on if it holds a run already. overrides: a multirun's words for this job."""
    with folder.locked():
        checkpoints = Checkpoints(folder.checkpoints)
        saved = checkpoints.load_last()
        if saved is not None:
            _refuse_changes(folder, config)
        summary = read_json(folder.summary)
        if summary.get("status") == "finished" and summary["epochs_planned"] == config.settings.epochs:
            print(f"{folder.path} is finished. To train on: python -m trainer resume={folder.path} epochs=MORE")
            return 0
        with Screen() as screen:
            _run(folder, config, overrides or [], checkpoints, saved, screen)
        return 0


def _run(
    folder: RunFolder,
    config: Config,
    overrides: list[str],
    checkpoints: Checkpoints,
    saved: dict[str, Any] | None,
    screen: Screen,
) -> None:
    """From the build to the summary. saved: the state to go on from, where there is one."""
    job = build(config if saved is None else _without_weights(config), screen.counting)
    if saved is not None:
        _go_on(folder, job, saved)
    for name in checkpoints.damaged():
        screen.say(f"{folder.checkpoints / name} is damaged, and the other checkpoint is used.")
    _begin(folder, config, job, screen, resumed=saved is not None)
    conclude = partial(summarise, folder.metrics, config, job.state, overrides)
    try:
        _train(folder, job, checkpoints, screen)
    except TrainerError as error:
        write_json(folder.summary, conclude(error=error))
        raise
    summary = conclude(test=_test(job, checkpoints))
    write_json(folder.summary, summary)
    draw_curves(folder.metrics, folder.curves)
    for line in closing(summary, folder.path):
        screen.say(line)


def _without_weights(config: Config) -> Config:
    """The config without the file that the run began from: the checkpoint has all of it, and the file may be gone."""
    model = config.parts["model"]
    if "weights" not in model.options:
        return config
    parts = {**config.parts, "model": replace(model, options={**model.options, "weights": None})}
    return replace(config, parts=parts)


def _refuse_changes(folder: RunFolder, config: Config) -> None:
    changes = differences(folder.read_config(), config)
    if changes:
        raise ConfigError(
            f"{folder.path} was begun with other settings, which a resumed run cannot change:\n  "
            + "\n  ".join(changes)
            + "\nSay them as before, or start a new run under another name."
        )


def _go_on(folder: RunFolder, job: Job, saved: dict[str, Any]) -> None:
    """Puts state and records back to where the checkpoint was taken."""
    about = read_json(folder.about)
    if about.get("fingerprint") != job.about["fingerprint"]:
        raise DataError(
            f"The data have changed since {folder.path} was begun (files or labels added, removed or resized). "
            f"Restore them, or start a new run under another name."
        )
    try:
        job.state.load_state_dict(saved)
    except (KeyError, ValueError, RuntimeError) as error:
        raise CheckpointError(f"{folder.checkpoints} belongs to a run of another kind: {first_line(error)}") from error
    rewind(folder.metrics, job.state.step, job.state.epoch)


def _begin(folder: RunFolder, config: Config, job: Job, screen: Screen, *, resumed: bool) -> None:
    """Leaves on disk what the run is, and says it."""
    before = read_json(folder.about) if resumed else {}
    commands = [*before.get("commands", []), shlex.join(["python", "-m", "trainer", *sys.argv[1:]])]
    about = {**job.about, **environment(), "commands": commands}
    folder.write_config(config)
    write_json(folder.about, about)
    screen.log_to(folder.log)
    for line in opening(config, about, folder.path):
        screen.say(line)
    for note in job.notes:
        screen.say(note)
    if not resumed:
        rewind(folder.metrics, 0, 0)  # of an attempt that was killed before its first checkpoint
        return
    screen.say(f"Goes on after step {job.state.step}, in epoch {job.state.epoch + 1}.")
    changed = not_bit_exact(before, about)
    for line in changed:
        screen.say(f"Not bit-exact from here on: {line}.")
    with MetricsFile(folder.metrics) as metrics:
        metrics.append("event", job.state.step, job.state.epoch, event="resumed", changed=changed)


def _train(folder: RunFolder, job: Job, checkpoints: Checkpoints, screen: Screen) -> None:
    """Runs the loop. Raises StoppedError after a good save if a signal came, and the loop's own errors."""
    with Interrupt() as interrupt, MetricsFile(folder.metrics) as metrics:
        steps = steps_per_epoch(job.batches, job.recipe.accumulate)
        pace = Pace(
            epochs=job.plan.epochs,
            steps=job.plan.epochs * steps,
            first_step=job.state.step,
            images_per_step=job.batches.batch_size * job.recipe.accumulate,
        )
        witness = Witness(pace, checkpoints, metrics, screen)
        try:
            fit(job.state, job.batches, job.val_batches, job.recipe, job.plan, witness, interrupt)
        except Interrupted as signal:
            good = alarm(job.state) is None  # else the last good checkpoint stays
            if good:
                witness.save(job.state, is_best=False)
            raise StoppedError(
                f"Stopped by {signal} after step {job.state.step}; "
                f"{'all is saved' if good else 'its loss is no number, so the checkpoint before it stays'}. "
                f"Go on with: python -m trainer {shlex.quote(f'resume={folder.path}')}",
                signal.signal_number,
            ) from None
        except TrainerError as error:
            metrics.append("event", job.state.step, job.state.epoch, event="failed", message=str(error))
            raise
        finally:
            witness.close()


def _test(job: Job, checkpoints: Checkpoints) -> Scores | None:
    """The scores on the test part with the selected weights; None where there is no such part."""
    if job.test_batches is None or job.state.best is None:
        return None
    job.state.model.load_state_dict(checkpoints.load_best()["model"])
    return evaluate(job.state.model, job.test_batches, job.recipe.criterion, job.recipe.precision)
