"""Options whose default says nothing, and what that comes to; what older versions stored in the place of null."""

from collections.abc import Collection, Mapping
from typing import Any

DEFAULT_SHARE = 0.1
"""The share held out of a set without a validation part, where data.val says nothing."""

NULL_MEANS = {"data.val": DEFAULT_SHARE, "aug.padding": "reflection"}
"""What such an option has the effect of, and was by default before. What is said is refused where it cannot act."""
_UNSAID = {
    **{key: (None, meant) for key, meant in NULL_MEANS.items()},
    "data.normalise": ("auto", "mean_std"),  # without data.mean and data.std, which are compared for themselves
    "data.crop_share": (None, 1.0),
    "monitor": (None, "val_accuracy"),  # of the task that there was before there was a choice
}
"""An option's default that says nothing, and what it has the effect of."""


def effect(key: str, value: Any) -> Any:
    """What a value comes to in the steps of a run, by which runs are compared."""
    unsaid, meant = _UNSAID.get(key, (None, None))
    return meant if value == unsaid else value


def renewed(stored: Mapping[str, Any], said: Collection[str] = ()) -> dict[str, Any]:
    """A config that a run has stored, as it is said today; said: keys that are said anew, and stay as they are."""
    result = {"preset": "none", "task": {"name": "single"}, **stored}  # of before there was a choice
    for key, before in NULL_MEANS.items():
        room, _, option = key.partition(".")
        if key not in said and isinstance(stored.get(room), Mapping) and stored[room].get(option) == before:
            result[room] = {name: value for name, value in stored[room].items() if name != option}
    return result
