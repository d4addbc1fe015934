"""Records of earlier releases, in the words of this one."""

from collections.abc import Mapping
from typing import Any


def with_objective(scores: Mapping[str, Any]) -> dict[str, Any]:
    """The scores of an epoch. What an earlier release called val_loss was the training loss; it had no plain one."""
    if "val_loss" not in scores or "val_objective" in scores:
        return dict(scores)
    return {**scores, "val_loss": None, "val_objective": scores["val_loss"]}
