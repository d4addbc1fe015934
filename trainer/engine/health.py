"""Whether the numbers of the steps are sound: noted on the device after every step, and read now and then."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from trainer.engine.course import FAR, PATIENCE, Noted
from trainer.engine.state import State
from trainer.parallel.sharded import whole as all_of


@dataclass(frozen=True)
class Alarm:
    """Why training cannot go on, and the figures of the step at which it began."""

    what: str
    """Words that go on with 'from step 7 on'."""
    step: int
    loss: float
    norm: float


def note(
    state: State,
    loss: Tensor,
    parameters: Sequence[nn.Parameter],
    sums: Sequence[Sequence[Tensor]] = (),
    *,
    whole: bool = True,
) -> tuple[Tensor | None, Tensor]:
    """Notes a step whose gradients, still scaled, are in place. Gives whether all is finite, and the gradient's norm.

    whole: whether all gradients are looked at. The first layer's alone, which cost no time, show nearly as much: what
    overflows on the way back arrives there. And what does not is seen in the next loss.
    Both stay on the device; the first is None where no scaler asks for it. Where not all is finite, one gradient
    becomes NaN: so the scaler leaves the whole step out, and without a scaler the weights are NaN from here on, and
    nothing hides it. sums: of each batch of the step.
    """
    grads = [parameter.grad for parameter in parameters if parameter.grad is not None]
    norm = all_of(nn.utils.get_total_norm(grads) if whole else torch.linalg.vector_norm(grads[0]))
    if state.scaler.is_enabled():
        norm = norm / state.scaler.scale(torch.ones_like(norm))
    both = loss + norm
    still = both * 0.0  # 0, or NaN
    grads[0].mul_(still + 1)
    state.note(Noted(loss, norm, both, sums))
    return still == 0 if state.scaler.is_enabled() else None, norm


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
