"""What the words of a run come to in steps and epochs, and which of them will not act."""

from collections.abc import Iterator
from copy import deepcopy

from torch import nn

from trainer.build.notes import idle, pace, patience, resolution
from trainer.build.parts import build_part
from trainer.build.training import Job
from trainer.config import Config
from trainer.data.source import Source
from trainer.doctor.finding import Finding, Severity
from trainer.registry import entries
from trainer.sched.schedule import first_climb

_LATE, _NEVER = 0.8, 0.95
"""Share of the steps in which a rate may still rise, and with which it never comes down to anything."""
_FEW_STEPS = 10
"""Of a whole run: no warm-up is missed in fewer."""
_SMALL_BATCH = 8
_IDLE_IN_A_PROBE = ("epochs", "early_stop", "accumulate", "ema", "optim", "sched")


def of_schedule(config: Config, steps: int) -> Iterator[Finding]:
    """The warm-up in steps; steps: of an epoch."""
    sched, total = config.parts["sched"], config.settings.epochs * steps
    share = sched.options.get("warmup")
    if not share:
        return
    climbs = first_climb(build_part(config, "sched", total), total)
    usual = entries("sched", config.settings.plugins)[sched.name].options["warmup"].default
    evidence = f"sched.warmup={share:g}: the rate rises in {climbs} of {total:,} steps"
    if total >= _FEW_STEPS and climbs <= 1:
        least = min(0.3, -(-max(5, total // 20) * 100 // total) / 100)
        what = "The warm-up is one step or none: the first steps are taken at the full rate."
        severity: Severity = "warning" if "sched.warmup" in config.said else "note"
        yield Finding("warmup_of_one_step", severity, what, evidence, 0.9, f"sched.warmup={least:g}", practice="X3")
    if climbs >= _LATE * total:
        what = "The warm-up hardly ends: the rate has no time to fall, which is when most is learnt."
        severity = "fault" if climbs >= _NEVER * (total - 1) else "warning"
        yield Finding("endless_warmup", severity, what, evidence, 0.95, f"sched.warmup={usual:g}", practice="X3")


def of_early_stop(job: Job) -> Iterator[Finding]:
    """Patience that ends within the warm-up, which the loop waits for."""
    for note in patience(job.plan):
        acts = "cannot act" not in note
        if acts and (job.plan.early_stop or 0) > job.plan.rising_epochs:
            continue
        what = "early_stop lies in the warm-up, and counts after it." if acts else "early_stop never ends this run."
        words = "" if acts else "early_stop=null"
        yield Finding("early_stop_in_warmup", "note" if acts else "warning", what, note, 0.95, words)


def of_batches(config: Config, job: Job, steps: int) -> Iterator[Finding]:
    """Batch norm on few images, and epochs of few steps; steps: of an epoch."""
    size, accumulate = job.batches.batch_size, config.settings.accumulate
    learning = _entered(job)
    norms = [each for each in learning.modules() if isinstance(each, nn.modules.batchnorm._BatchNorm)]
    normed = sum(each.training for each in norms)
    if normed and size < _SMALL_BATCH and not config.is_probe:
        larger = min(32, max(2 * _SMALL_BATCH, size * accumulate))
        what = "Batch norm on so few images takes noise for statistics: training and validation see different networks."
        evidence = f"{normed} batch norms on batches of {size} image{'s' * (size > 1)}"
        evidence += f"; accumulate={accumulate} does not change that" if accumulate > 1 else ""
        words = f"batch_size={larger}" + (" accumulate=1" if accumulate > 1 else "")
        yield Finding("batch_norm_on_few", "warning", what, evidence, 0.9, words)
    for note in () if config.is_probe else pace(steps):
        fewer = max(1, len(job.batches.store) // (8 * accumulate))
        words = f"batch_size={fewer}" if fewer < size else ""
        what = "An epoch has hardly a step, and learns as little."
        yield Finding("few_steps", "note", what, note, 0.7, words)


def of_learning(job: Job) -> Iterator[Finding]:
    """Whether anything ever learns."""
    if job.recipe.probe is not None and job.recipe.probe.alone:
        return
    parameters = list(_entered(job).parameters())
    learning = sum(each.numel() for each in parameters if each.requires_grad)
    if not learning:
        what = "Everything is frozen in every epoch: nothing learns."
        evidence = f"0 of {sum(each.numel() for each in parameters):,} parameters take steps"
        yield Finding("all_frozen", "fault", what, evidence, 1.0, "finetune=none", practice="X1")


def of_validation(job: Job) -> Iterator[Finding]:
    """Whether validation can tell epochs apart."""
    task, labels = job.recipe.criterion.task, job.val_batches.store.labels
    for note in resolution(labels, task):
        if task.can_score(labels):
            what = "Validation is small: the best epoch is chosen by a few images."
            yield Finding("small_validation", "note", what, note, 0.8)
        else:
            what = "Validation can score nothing: no epoch is better than another."
            yield Finding("unscored_validation", "fault", what, note, 1.0, advice="Label some, or say data.val=0.2.")


def of_idle_words(config: Config, source: Source, job: Job, steps: int) -> Iterator[Finding]:
    """What is said, and will not act; steps: of an epoch."""
    for note in idle(config.parts["aug"].options, source):
        yield _idle(note, "Leave them out, or keep the images in colour: data.grey=false.")
    if config.is_probe:
        rooms = (*_IDLE_IN_A_PROBE, *(() if config.parts["finetune"].options.get("views") else ("aug",)))
        said = [key for key in sorted(config.said) if key.partition(".")[0] in rooms]
        if said:
            yield _idle(f"{', '.join(said)}: a probe takes no steps", "Leave them out, or say finetune=probe_first.")
        return
    total = steps * job.plan.epochs
    ends = {"log_every": (job.plan.log_every, total, "steps"), "save_every": (job.plan.save_every, total, "steps")}
    ends["keep_every"] = (job.plan.keep_every, job.plan.epochs, "epochs")
    for key, (every, end, unit) in ends.items():
        if key in config.said and every > end:
            yield _idle(f"{key}={every}: the run has {end} {unit}", f"Leave it out, or say {key}={max(1, end // 4)}.")


def _idle(evidence: str, advice: str) -> Finding:
    what = "What is said here does not act in this run."
    return Finding("idle_words", "note", what, evidence, 0.95, advice=advice)


def _entered(job: Job) -> nn.Module:
    """A copy of the model as it enters the last epoch, in which all learns that ever will."""
    copy = deepcopy(job.state.model)
    job.recipe.begin_epoch(copy, job.plan.epochs - 1)
    return copy
