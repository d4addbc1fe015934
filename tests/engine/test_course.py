"""What steps come to: whenever it is counted, the same."""

import math
import random
from dataclasses import fields

import pytest
import torch
from small_loop import batches, begin, net, recipe
from torch import Tensor

from trainer.engine.course import FAR, MOST_NOTED, PATIENCE, Course, Noted
from trainer.engine.interrupt import Interrupt
from trainer.engine.loop import train_epoch
from trainer.engine.state import State

NAMES = [each.name for each in fields(Course)]
LOSSES = (0.0, -1.0, 0.7, 2.3, 2.3 * FAR, math.nextafter(23.0, 24.0), 1e6, 3e38, math.inf, math.nan)
NORMS = (0.0, 1.5, 3e38, math.inf, math.nan)


def steps(seed: int, count: int) -> list[Noted]:
    """Any losses and norms, many of them long the same, each of one batch or two."""
    draw, noted = random.Random(seed), list[Noted]()
    while len(noted) < count:
        kind = draw.choice(LOSSES), draw.choice(NORMS) if draw.random() < 0.3 else 1.0
        loss, norm = (torch.tensor(number) for number in kind)
        for _ in range(draw.choice([1, 1, 3, PATIENCE, PATIENCE + 2])):
            sums = [[torch.tensor(draw.random()) for _ in range(4)] for _ in range(draw.choice([1, 2]))]
            noted.append(Noted(loss, norm, loss + norm, sums))
    return noted[:count]


def on_tensors(before: dict[str, Tensor], step: Noted, *, leaves_out: bool) -> dict[str, Tensor]:
    """One step, as a device would count it."""
    finite = step.both.isfinite()
    start = torch.where(before["start_loss"] > 0, before["start_loss"], step.loss.nan_to_num(0.0, 0.0, 0.0))
    bad_and_far = torch.stack([~finite, step.loss > FAR * start.clamp(min=1.0)])
    streaks = (before["streaks"] + 1) * (bad_and_far | (before["streaks"] >= PATIENCE))
    sums = before["sums"]
    for batch in step.sums:
        sums = sums + torch.stack([*batch])
    return {
        "sums": torch.where(finite, sums, before["sums"]),
        "streaks": streaks,
        "begun": torch.where((streaks == 1)[:, None], torch.stack([step.loss, step.norm]), before["begun"]),
        "start_loss": start,
        "skipped_steps": before["skipped_steps"] + ~finite if leaves_out else before["skipped_steps"],
    }


def begun(precision: str) -> State:
    return begin(net(), precision=precision)


def course_of(state: State) -> dict[str, Tensor]:
    return {name: getattr(state, name) for name in NAMES}


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
@pytest.mark.parametrize("seed", range(6))
def test_steps_come_to_the_same_bits_as_one_by_one_on_tensors_whenever_they_are_counted(
    seed: int, precision: str
) -> None:
    state, draw = begun(precision), random.Random(seed)
    expected = course_of(state)
    for step in steps(seed, 150):
        state.note(step)
        expected = on_tensors(expected, step, leaves_out=precision == "fp16")
        if draw.random() < 0.05:
            state.count()
    for name, tensor in course_of(state).items():
        assert tensor.dtype == expected[name].dtype
        torch.testing.assert_close(tensor, expected[name], rtol=0, atol=0, equal_nan=True)


def test_no_more_than_so_many_steps_are_kept_to_be_counted() -> None:
    state = begun("fp32")
    lengths = []
    for step in steps(0, 3 * MOST_NOTED):
        state.note(step)
        lengths.append(len(state.noted))
    assert max(lengths) == MOST_NOTED - 1


def test_what_is_saved_holds_every_step_and_what_is_loaded_none_of_before() -> None:
    state, other = begun("fp32"), begun("fp32")
    for _ in train_epoch(state, batches(3), recipe(), Interrupt()):
        assert state.noted
    assert float(state.state_dict()["sums"][3]) == 24 and not state.noted
    next(train_epoch(other, batches(3), recipe(), Interrupt()))
    other.load_state_dict(state.state_dict())
    assert other.sums.tolist() == state.sums.tolist()
