"""What is noted of an epoch beside its scores: what tells why a run goes as it does. `watching.py` measures it."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True)
class Layer:
    """What an activation layer gives out in validation, on the images that are looked at."""

    name: str
    mean: float
    std: float
    dead: float
    """Share of its units that are zero for every one of these images (of a layer with ReLU; else 0)."""


@dataclass(frozen=True)
class Vitals:
    """What is measured at the end of an epoch, beside its scores."""

    gradient_norm: float | None = None
    """Of the epoch's last step, before clipping."""
    updates: Mapping[str, float] = field(default_factory=dict)
    """Per stage: the norm of the last step's change of the weights, divided by the norm of the weights."""
    layers: Sequence[Layer] = ()
    recall: Sequence[float | None] = ()
    """Per class in validation; None for a class without images there."""
    commonest: float | None = None
    """Share of the validation images that are given the answer that is given most; None where there may be several."""
    waited: float | None = None
    """Share of the epoch's training time in which the model waited for pictures."""

    def plain(self) -> dict[str, Any]:
        """As records hold it: to four digits, so that the line of a deep network stays short."""
        rounded: dict[str, Any] = _rounded(asdict(self))
        return rounded


def _rounded(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _rounded(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_rounded(each) for each in value]
    return float(f"{value:.4g}") if isinstance(value, float) else value
