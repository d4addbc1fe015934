"""What a run leaves on disk and says before its first step."""

import shlex
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from trainer.build.training import Job
from trainer.config import Config
from trainer.engine.checkpoint import BEST, Checkpoints
from trainer.model.expects import expected
from trainer.preset.draft import value_of
from trainer.preset.settle import Settled
from trainer.records.about import environment, not_bit_exact
from trainer.records.files import write_files
from trainer.records.folder import RunFolder, read_json, replace_text, write_json
from trainer.records.metrics import MetricsFile, rewind
from trainer.report.console import Screen
from trainer.report.sentences import opening


def begin(
    folder: RunFolder,
    config: Config,
    job: Job,
    screen: Screen,
    changed: list[str] | None,
    anew: Sequence[str] = (),
    words: Sequence[str] | None = None,
    settled: Settled | None = None,
) -> None:
    """Leaves on disk what the run is, and says it.

    changed: what was changed if it goes on; None if it is new. anew: what begins anew, in whole sentences. words: what
    the run was told; None is the command line. settled: what it has chosen for itself.
    """
    chosen = {key: value_of(config, key) for key in settled.chosen} if settled else {}
    before = read_json(folder.about) if changed is not None else {}
    commands = [
        *before.get("commands", []),
        shlex.join(["python", "-m", "trainer", *(sys.argv[1:] if words is None else words)]),
    ]
    about = {
        **job.about,
        **environment(),
        "commands": commands,
        "chosen": chosen,
        "budget": settled.budget if settled else None,
        "weights_expect": _expected(config, before),
    }
    started = folder.config.exists()
    write_json(folder.about, about)  # first: what was chosen must be there when the run is
    folder.write_config(config)
    write_files(folder.files, job.files)
    if job.left_out:
        replace_text(folder.left_out, "\n".join(job.left_out) + "\n")
    screen.log_to(folder.log)
    for line in opening(config, about, folder.path):
        screen.say(line)
    for note in (*(settled.lines if settled else ()), *job.notes):
        screen.say(note)
    checkpoints = Checkpoints(folder.checkpoints)
    if changed is None:
        if started:
            screen.say("The run was stopped before it had saved a checkpoint, and starts anew.")
        checkpoints.begin_anew()
        rewind(folder.metrics, 0, 0)
        return
    damaged = [f"{folder.checkpoints / name} is damaged" for name in checkpoints.damaged()]
    for line in damaged:
        screen.say(f"{line}, and the other checkpoint is used.")
    if job.state.best is not None and not checkpoints.has_best:
        damaged.append(f"{folder.checkpoints / BEST} is missing or damaged")
        screen.say(f"{damaged[-1]}. Put back a copy before the run ends, unless a later epoch is better.")
    screen.say(f"Goes on after step {job.state.step}, in epoch {job.state.epoch + 1}.")
    breaks = [*changed, *not_bit_exact(before, about)]
    for line in breaks:
        screen.say(f"Not bit-exact from here on: {line}.")
    for line in anew:
        screen.say(line)
    with MetricsFile(folder.metrics) as metrics:
        metrics.append(
            "event", job.state.step, job.state.epoch, event="resumed", changed=breaks, damaged=damaged, anew=list(anew)
        )


def _expected(config: Config, before: Mapping[str, Any]) -> dict[str, list[float]] | None:
    """The figures of the pictures that the weights were trained on; of a run that goes on as run.json has them."""
    if "weights_expect" in before:  # the file may be gone, and what is on a hub may be another by now
        stored: dict[str, list[float]] | None = before["weights_expect"]
        return stored
    model = config.parts["model"]
    known = expected(model.name, model.options)
    return None if known is None else {"mean": [*known.mean], "std": [*known.std]}
