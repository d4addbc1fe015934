"""The schedule that reads validation, in a whole run."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from shared import Ended, lines_of

Train = Callable[..., Ended]

WORDS = ("optim=rmsprop", "sched=plateau", "sched.patience=1", "sched.factor=0.5", "optim.lr=0.05", "epochs=6")


@pytest.mark.slow
@pytest.mark.parametrize("monitor", ["val_loss", "val_accuracy"])
def test_the_rate_falls_in_the_epochs_in_which_torch_would_cut_it(train: Train, tmp_path: Path, monitor: str) -> None:
    assert train("name=x", *WORDS, f"monitor={monitor}").code == 0
    epochs = lines_of(tmp_path / "outputs" / "x" / "metrics.jsonl", "epoch")
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.05)
    mode = "min" if monitor == "val_loss" else "max"
    reference = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, mode, factor=0.5, patience=0, threshold=0.0)
    expected = []
    for line in epochs:
        expected.append(optimizer.param_groups[0]["lr"])
        accuracy, loss = float(str(line["val_accuracy"])), float(str(line["val_loss"]))
        # Of 9 images: where as many are right, the loss decides.
        reference.step(loss - 1e-9 * accuracy if monitor == "val_loss" else accuracy - 1e-3 * loss)
    assert [line["lr"] for line in epochs] == pytest.approx(expected)
    assert expected[-1] < expected[0]  # it did fall in this run


@pytest.mark.slow
def test_a_plateau_that_cannot_come_in_time_is_refused_before_the_run(train: Train) -> None:
    short = train("sched=plateau", "sched.patience=2", "epochs=3")
    assert short.code == 2 and "raise epochs to 4 at least" in short.err
    stopped = train("sched=plateau", "sched.patience=2", "epochs=9", "early_stop=2")
    assert stopped.code == 2 and "early_stop=2 ends the run before the rate falls" in stopped.err
    assert train("sched=plateau", "sched.patience=2", "epochs=4", "early_stop=3").code == 0
