"""Losses chosen on the command line, and what a run says of them."""

from collections.abc import Callable
from pathlib import Path

import pytest
from shared import Ended, lines_of

Train = Callable[..., Ended]


def test_the_class_weights_in_use_are_shown_before_the_run(train: Train) -> None:
    named = train("loss.class_weights={0: 3, 1: 0.5}", "epochs=1")
    assert named.code == 0, named.err
    assert "class weights: 0 3, 1 0.5, 2 1" in named.out
    assert "class weights:" not in train("epochs=1").out


def test_weights_for_a_class_that_is_not_there_are_refused_with_the_nearest(train: Train) -> None:
    ended = train("loss.class_weights={00: 3}")
    assert ended.code == 2 and "there is no class '00'. Did you mean '0'?" in ended.err


@pytest.mark.parametrize(
    "words",
    [
        ("loss=binary_cross_entropy", "loss.smoothing=0.1"),
        ("loss=mse", "loss.of=logits"),
        ("loss=l1", "loss.class_weights={0: 2}"),
        ("loss=cross_entropy", "loss.logit_weights={0: 2}"),
    ],
)
def test_every_loss_falls_when_it_is_learnt(train: Train, tmp_path: Path, words: tuple[str, ...]) -> None:
    assert train("name=x", *words, "aug=none", "epochs=4", "sched=constant").code == 0
    losses = [
        float(str(line["train_loss"])) for line in lines_of(tmp_path / "outputs" / "x" / "metrics.jsonl", "epoch")
    ]
    assert losses[-1] < 0.97 * losses[0]
