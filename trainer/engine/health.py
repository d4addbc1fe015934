"""Whether the numbers of the steps are sound: noted on the device after every step, and read now and then."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from trainer.engine.state import State

PATIENCE = 20
"""Steps in a row. So many halvings take GradScaler from its first scale, 65,536, to 1/16: no overflow lasts longer."""
FAR = 10.0
"""Times the first loss at which a loss is far off."""


@dataclass(frozen=True)
class Alarm:
    """Why training cannot go on, and the figures of the step at which it began."""

    what: str
    """Words that go on with 'from step 7 on'."""
    step: int
    loss: float
    norm: float


def note(
    state: State, loss: Tensor, parameters: Sequence[nn.Parameter], *, whole: bool = True
) -> tuple[Tensor, Tensor]:
    """Notes a step whose gradients, still scaled, are in place. Gives whether all is finite, and the gradient's norm.

    whole: whether all gradients are looked at. The first layer's alone, which cost no time, show nearly as much: what
    overflows on the way back arrives there. And what does not is seen in the next loss.
    Both stay on the device. Where not all is finite, one gradient becomes NaN: so the scaler leaves the whole step out,
    and without a scaler the weights are NaN from here on, and nothing hides it.
    """
    grads = [parameter.grad for parameter in parameters if parameter.grad is not None]
    norm = nn.utils.get_total_norm(grads) if whole else torch.linalg.vector_norm(grads[0])
    if state.scaler.is_enabled():
        norm = norm / state.scaler.scale(torch.ones_like(norm))
    still = (loss + norm) * 0.0  # 0, or NaN: what is worked out on the device costs a launch each, so few do
    finite = still == 0
    grads[0].mul_(still + 1)
    state.start_loss = torch.where(state.start_loss > 0, state.start_loss, loss.nan_to_num(0.0, 0.0, 0.0))
    # A healthy run leaps this high in a bad batch, or for some steps at a bold rate, and comes down; so it must stay up
    # for PATIENCE steps. The measure is the first loss, which knows the scale of any loss and number of classes, not
    # the best, which may be near zero; and 1 where a trained model begins near zero.
    far = loss > FAR * state.start_loss.clamp(min=1.0)
    lasting = state.streaks >= PATIENCE  # such a streak never ends: what is found must not depend on when it is read
    state.streaks = (state.streaks + 1) * (torch.stack([~finite, far]) | lasting)
    state.begun = torch.where((state.streaks == 1)[:, None], torch.stack([loss, norm]), state.begun)
    if state.scaler.is_enabled():
        state.skipped_steps = state.skipped_steps + ~finite
    return finite, norm


def alarm(state: State) -> Alarm | None:
    """What is wrong with the last steps, if anything is. Reads the device.

    One step that is not finite is wrong, but where a scaler leaves such steps out PATIENCE in a row are.
    """
    bad, far = state.streaks.tolist()
    of_bad, of_far = [(float(loss), float(norm)) for loss, norm in state.begun.tolist()]
    if bad and not state.scaler.is_enabled():
        return Alarm("The loss or its gradient is not finite", state.step - bad + 1, *of_bad)
    if bad >= PATIENCE:
        what = f"{bad} steps in a row were left out, since the loss or its gradient was not finite,"
        return Alarm(what, state.step - bad + 1, *of_bad)
    if far >= PATIENCE:
        start = max(1.0, float(state.start_loss))
        what = f"The loss has been above {FAR * start:.3g}, {FAR:.0f} times where it began, for {far} steps in a row,"
        return Alarm(what, state.step - far + 1, *of_far)
    return None


def is_left_out(state: State) -> bool:
    """Whether the last step was not finite, and so does not count in the sums. Reads the device."""
    return bool(state.streaks[0])


def is_far_off(state: State) -> bool:
    """Whether the last step's loss is far above where it began: no state to come back to. Reads the device."""
    return bool(state.streaks[1])


class Undo:
    """Keeps what buffers held, such as batch norm's statistics, and gives it back after a step that is left out."""

    def __init__(self, buffers: Sequence[Tensor]) -> None:
        kinds = {each.dtype: [other for other in buffers if other.dtype == each.dtype] for each in buffers}
        self._kept = [_Kept.room_for(held) for held in kinds.values()]

    def keep(self) -> None:
        """What they hold now is what they will be given back."""
        for kept in self._kept:
            torch._foreach_copy_(kept.before, kept.buffers)

    def unless(self, finite: Tensor) -> None:
        """Gives it back unless this is true, a bool on the device."""
        for kept in self._kept:
            torch._foreach_copy_(kept.now, kept.buffers)
            torch.where(finite, kept.all_now, kept.all_before, out=kept.all_now)
            torch._foreach_copy_(kept.buffers, kept.now)


@dataclass(frozen=True)
class _Kept:
    """Buffers of one type, and room for all that they hold, twice: each time one tensor, and its part for each."""

    buffers: list[Tensor]
    all_before: Tensor
    all_now: Tensor
    before: list[Tensor]
    now: list[Tensor]

    @classmethod
    def room_for(cls, buffers: list[Tensor]) -> "_Kept":
        size = sum(each.numel() for each in buffers)
        before, now = (buffers[0].new_empty(size) for _ in range(2))
        return cls(buffers, before, now, _parts(before, buffers), _parts(now, buffers))


def _parts(room: Tensor, of: Sequence[Tensor]) -> list[Tensor]:
    """The part of the room for each of these, in its shape."""
    parts = torch.split(room, [each.numel() for each in of])
    return [part.view(each.shape) for part, each in zip(parts, of, strict=True)]
