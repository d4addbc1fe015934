"""train: one run from its config to its summary, new or resumed."""

import shlex
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

from trainer.build.parts import build_part
from trainer.build.training import Job, build
from trainer.config import Config, essential, without_weights
from trainer.engine.batch import steps_per_epoch
from trainer.engine.checkpoint import Checkpoints, SaveError
from trainer.engine.device import choose_device
from trainer.engine.interrupt import Interrupt, Interrupted
from trainer.engine.loop import finished, fit, fit_to_save
from trainer.engine.metrics import Evaluation
from trainer.errors import (
    CheckpointError,
    ConfigError,
    DataError,
    DivergedError,
    OutputError,
    PrunedError,
    StoppedError,
    TrainerError,
    first_line,
    told,
)
from trainer.inference.judges import judge_of
from trainer.parallel.group import joined
from trainer.parallel.place import place_of as place_of_process
from trainer.parallel.ranks import ALONE, Ranks
from trainer.preset.settle import settled_in
from trainer.records.about import environment
from trainer.records.folder import RunFolder, new_folder, run_at, write_json
from trainer.records.metrics import Listener, MetricsFile
from trainer.records.summary import summarise
from trainer.report.console import Screen
from trainer.report.curves import draw_curves
from trainer.report.sentences import beyond_probe, closing
from trainer.report.witness import AfterEpoch, Pace, Witness, nothing
from trainer.run.begin import begin
from trainer.run.beside import follow, refuse_several, same_state, tested
from trainer.run.diverged import give_up, go_back, may_go_back, what_stays
from trainer.run.judged import judged, verdict
from trainer.run.memory import advised
from trainer.run.pictures import draw_page
from trainer.run.resume import go_on, refuse_changes
from trainer.settings import Settings
from trainer.system import fault
from trainer.task.task import Task, Verdicts
from trainer.track.tracking import tracked


def run(config: Config) -> int:
    """Trains in the folder that the config names. Returns the exit code 0; every other end is an error."""
    place = place_of_process()
    refuse_several(config, place)
    with joined(place, choose_device(config.settings.device), config.settings.parallel) as ranks:
        if not place.is_first:
            return follow(ranks)
        folder, checkpoint = place_of(config.settings)
        return run_in(folder, config, checkpoint=checkpoint, ranks=ranks)


def place_of(settings: Settings) -> tuple[RunFolder, str | None]:
    """The run's folder, made where it is a new one; and the checkpoint to go on from, where its file is named."""
    output = Path(settings.output).expanduser()
    if settings.resume is None:
        return new_folder(output, settings.name), None
    if settings.resume != "auto":
        return run_at(Path(settings.resume).expanduser())
    if settings.name is None:
        raise ConfigError("resume: auto wants the name of the run to go on with: name=NAME. Or say resume=FOLDER.")
    folder = RunFolder(output / settings.name)
    return folder if folder.holds_a_run else new_folder(output, settings.name), None


def run_in(
    folder: RunFolder,
    config: Config,
    overrides: list[str] | None = None,
    checkpoint: str | None = None,
    words: Sequence[str] | None = None,
    ranks: Ranks = ALONE,
    after_epoch: AfterEpoch = nothing,
) -> int:
    """Trains in this folder, and goes on if it holds a run already.

    overrides: a multirun's words for this job. checkpoint: the file to go on from; None is the newest good one. words:
    what the run was told; None is the command line. after_epoch: is told each epoch, and may end the run by
    PrunedError. ranks: the processes that train it, of which this is the first.
    """
    with folder.locked(), Screen() as screen:
        settled = settled_in(folder, config, screen.counting)
        config = settled.config
        checkpoints = Checkpoints(folder.checkpoints)
        saved = checkpoints.load_last() if checkpoint is None else checkpoints.load_exactly(checkpoint)
        if saved is not None:
            refuse_changes(folder, config, saved)
        ends = _ends(folder.read_summary(), config.settings)
        # With what is allowed early stop may begin anew, which is known once the data have been looked at.
        if ends and not (ends == ["early_stop"] and config.settings.resume_allow):
            print(_finished(folder, config, ends))
            ranks.from_first(None)
            return 0
        ranks.from_first((folder.path, config if saved is None else without_weights(config)))
        how = partial(begin, words=words, settled=settled)
        _run(folder, config, overrides or [], saved, screen, how, after_epoch, ranks)
        return 0


def _ends(summary: dict[str, Any], settings: Settings) -> list[str]:
    """The settings by which a finished run has nothing left to do; none if it has, or has not finished."""
    if summary.get("status") != "finished":
        return []
    since_best = summary["epochs"] - (summary["best"]["epoch"] if summary["best"] else 0)
    stale_epochs = summary.get("stale_epochs", since_best)  # an earlier release counted from the best epoch
    has_stalled = settings.early_stop is not None and stale_epochs >= settings.early_stop
    return ["epochs"] * (summary["epochs"] >= settings.epochs) + ["early_stop"] * has_stalled


def _finished(folder: RunFolder, config: Config, ends: list[str]) -> str:
    if config.is_probe:
        return f"{folder.path} is finished: {beyond_probe(folder)}"
    words = [shlex.quote(f"resume={folder.path}"), *(f"{end}=MORE" for end in ends)]
    return f"{folder.path} is finished. To train on: python -m trainer {' '.join(words)}"


def _run(
    folder: RunFolder,
    config: Config,
    overrides: list[str],
    saved: dict[str, Any] | None,
    screen: Screen,
    begin: Callable[..., None],
    after_epoch: AfterEpoch,
    ranks: Ranks,
) -> None:
    """From the build to the summary. saved: the state to go on from, where there is one."""
    with advised(config):
        job = build(config if saved is None else without_weights(config), screen.counting, ranks=ranks)
    if saved is None:
        begin(folder, config, job, screen, None)
    else:
        with told(job.losses, DataError, CheckpointError):
            changes = go_on(folder, config, job, saved)
        if (ends := _ends(folder.read_summary(), config.settings)) and finished(job.state, job.plan):
            screen.say(_finished(folder, config, ends))
            ranks.from_first(None)
            return
        begin(folder, config, job, screen, *changes)
    ranks.from_first(saved or {})
    same_state(job)
    with tracked(folder, config, screen.say) as listener:
        _to_its_end(folder, config, job, overrides, screen, listener, after_epoch)


def _to_its_end(
    folder: RunFolder,
    config: Config,
    job: Job,
    overrides: list[str],
    screen: Screen,
    listener: Listener,
    after_epoch: AfterEpoch,
) -> None:
    """From the first step to the summary and the page."""
    task: Task = build_part(config, "task")
    judge, classes = judge_of(task), job.about["classes"]

    def figures(answers: Verdicts | None, validation: Verdicts | None) -> dict[str, Any]:
        return judge.figures(answers, classes, task, validation)

    conclude = partial(summarise, folder.metrics, config, job.state, job.plan, overrides, figures)
    try:
        test = _train(folder, config, job, screen, listener, after_epoch)
    except TrainerError as error:
        with suppress(OutputError):  # a full disk may be what the error is about
            summary = conclude(error=error, verdicts=_best_verdicts(folder, task))
            findings = judged(folder, summary, screen)
            if isinstance(error, DivergedError):
                _say(screen, verdict(findings, folder))
            write_json(folder.summary, {**summary, "findings": [finding.plain() for finding in findings]})
        raise
    verdicts = _best_verdicts(folder, task)
    summary = conclude(test=test, verdicts=verdicts)
    findings = judged(folder, summary, screen)
    write_json(folder.summary, {**summary, "findings": [finding.plain() for finding in findings]})
    _try_to_draw(screen, folder.curves, lambda: draw_curves(folder.metrics, folder.curves, task))
    if config.settings.report:
        part, said = ("validation", verdicts) if test is None else ("test", test.verdicts)
        _try_to_draw(screen, folder.report, lambda: draw_page(folder, job, part, said, verdicts))
    _say(screen, (*verdict(findings, folder), *closing(summary, folder)))


def _say(screen: Screen, lines: Iterable[str]) -> None:
    for line in lines:
        screen.say(line)


def _try_to_draw(screen: Screen, picture: Path, draw: Callable[[], object]) -> None:
    """Draws it, or says why not: the run is done, and a picture cannot undo it, whatever a drawing library raises."""
    try:
        draw()
    except Exception as error:
        screen.say(f"{picture} was not drawn ({type(error).__name__}: {first_line(error)}). All else is there.")


def _best_verdicts(folder: RunFolder, task: Task) -> Verdicts | None:
    """What the best weights answered in validation; None where there are none yet, or of an earlier release."""
    checkpoints = Checkpoints(folder.checkpoints)
    return task.verdicts_in(checkpoints.load_best()) if checkpoints.has_best else None


def _train(
    folder: RunFolder, config: Config, job: Job, screen: Screen, listener: Listener, after_epoch: AfterEpoch
) -> Evaluation | None:
    """Runs the loop, and gives the test scores. Raises StoppedError after a good save if a signal came, PrunedError
    likewise, and the loop's own errors."""
    about = {
        "versions": environment()["versions"],
        "classes": job.about["classes"],
        "preprocessing": job.about["preprocessing"],
        "precision": job.about["precision"],
        "validation_fingerprint": job.about["validation_fingerprint"],
        "config": essential(config),
        "steps_per_epoch": steps_per_epoch(job.batches),
    }
    checkpoints = Checkpoints(folder.checkpoints, about)
    ranks = job.recipe.ranks
    with Interrupt(ranks) as interrupt:
        while True:
            try:
                return _attempt(folder, config, job, checkpoints, screen, listener, after_epoch, interrupt)
            except DivergedError as error:
                if not may_go_back(config, job):
                    raise give_up(error, folder, job, checkpoints) from error
                screen.say(go_back(error, folder, config, job, checkpoints))
                same_state(job)


def _attempt(
    folder: RunFolder,
    config: Config,
    job: Job,
    checkpoints: Checkpoints,
    screen: Screen,
    listener: Listener,
    after_epoch: AfterEpoch,
    interrupt: Interrupt,
) -> Evaluation | None:
    """The run from where its state stands, and the test scores."""
    pace = Pace(
        epochs=job.plan.epochs,
        steps=job.plan.epochs * steps_per_epoch(job.batches),
        first_step=job.state.step,
        images_per_step=len(job.batches.store) / steps_per_epoch(job.batches),
    )
    with MetricsFile(folder.metrics, listener) as metrics:
        witness = Witness(pace, job.recipe.criterion.task, checkpoints, metrics, screen, after_epoch)
        try:
            if config.settings.on_nonfinite == "rollback" and not job.state.step:
                witness.save_what_is_not_saved(job.state)  # to go back to
            fault.reach("begin", job.state.step)
            with job.recipe.ranks.watched(folder.path), advised(config, job):
                fit(job.state, job.batches, job.val_batches, job.recipe, job.plan, witness, interrupt)
                if fit_to_save(job.state, job.recipe):
                    witness.save_what_is_not_saved(job.state)
                return tested(job, lambda: checkpoints.load_best()["model"], interrupt)
        except Interrupted as signal:
            raise _stopped(signal, folder, job, checkpoints, witness) from None
        except DivergedError:
            raise  # it need not be the end
        except PrunedError as error:
            if fit_to_save(job.state, job.recipe):
                witness.save(job.state, is_best=job.state.best_epoch == job.state.epoch)
            metrics.append("event", job.state.step, job.state.epoch, event="pruned", message=str(error))
            raise
        except TrainerError as error:
            metrics.append("event", job.state.step, job.state.epoch, event="failed", message=str(error))
            raise
        finally:
            witness.close()


def _stopped(
    signal: Interrupted, folder: RunFolder, job: Job, checkpoints: Checkpoints, witness: Witness
) -> TrainerError:
    """The error that ends a run which a signal has stopped, after the state was saved if it could be.

    Raises DivergedError if the last steps show that the run has diverged: then that is what is to be told.
    """
    way_on = f"Go on with: python -m trainer {shlex.quote(f'resume={folder.path}')}"
    words = f"Stopped by {signal} after step {job.state.step}"
    if not fit_to_save(job.state, job.recipe):
        words += f"; this state is not saved, since its loss is far above where it began. {what_stays(checkpoints)}"
        return StoppedError(f"{words} {way_on}", signal.signal_number)
    try:
        witness.save_what_is_not_saved(job.state)
    except SaveError as error:
        return TrainerError(f"Stopped by {signal}, which leaves the last steps unsaved: {error}")
    return StoppedError(f"{words}; all is saved. {way_on}", signal.signal_number)
