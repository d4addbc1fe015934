"""The recipe that suits some pictures, by their number and size, and by whether there are weights: conf/preset.yaml."""

from dataclasses import dataclass
from typing import Any

import yaml

from trainer.config import ROOMS, conf_folder
from trainer.preset.draft import Draft

_OF_TRAINING = ("epochs", "accumulate", "ema", "early_stop", "budget", "optim", "sched", "aug")
_STEP = 32
"""Sides are chosen in multiples of it: what most networks halve their pictures down to."""


@dataclass(frozen=True)
class Pictures:
    """What a recipe is chosen by: how many are trained on, and pixels on a side as far as nothing else is said."""

    count: int
    side: int
    fixed: bool = False
    """Whether the network takes no other size."""
    can_be_held_out: bool = True
    """Whether some class has an image to spare, as a probe wants it."""


def suit(draft: Draft, pictures: Pictures) -> None:
    """Chooses what is trained, how and how long, each where nobody has said it."""
    recipes = yaml.safe_load((conf_folder() / "preset.yaml").read_text(encoding="utf-8"))
    if draft.config.parts["model"].options.get("weights") is None:
        recipe = recipes["scratch"]
        _choose(draft, recipe["values"], "what did best from scratch on small sets (docs/presets.md).")
        is_large = pictures.side > recipe["large"]["above"]
        _pace(draft, recipe | {"images": (recipe["large"] if is_large else recipe)["images"]}, pictures)
        return
    recipe = recipes["weights"]
    _enlarge_less(draft, recipe["enlarged"], pictures)
    few = recipe["few"]
    is_few = pictures.count < few["below"] and pictures.can_be_held_out
    if is_few and draft.is_free("finetune") and not _said_of_training(draft):
        _choose(draft, few["values"], f"{pictures.count} images are too few to teach the body anything but themselves.")
        return
    _choose(draft, recipe["values"], "what did best from trained weights (docs/presets.md).")
    _pace(draft, recipe, pictures)


def _said_of_training(draft: Draft) -> list[str]:
    """What is said of how the steps are taken: a probe takes none."""
    return [key for key in draft.config.said if key.partition(".")[0] in _OF_TRAINING]


def _choose(draft: Draft, values: dict[str, Any], reason: str) -> None:
    """The parts first, then their options, and these only of parts that are the recipe's: another's rate is another."""
    draft.choose_all({key: value for key, value in values.items() if key in ROOMS}, reason)
    fitting = {key: value for key, value in values.items() if key not in ROOMS and _fits(draft, values, key)}
    draft.choose_all(fitting, reason)


def _fits(draft: Draft, values: dict[str, Any], key: str) -> bool:
    room, _, option = key.partition(".")
    if not option:
        return True
    ours = values.get(room, draft.value(room))
    return draft.value(room) == ours and option in draft.config.parts[room].options


def _pace(draft: Draft, recipe: dict[str, Any], pictures: Pictures) -> None:
    """Batch size and epochs, by the number of pictures."""
    batch = _power_of_two(pictures.count / recipe["steps"], *recipe["batch_size"])
    draft.choose("batch_size", batch, f"{-(-pictures.count // batch)} steps an epoch, of {pictures.count:,} images.")
    least, most = recipe["epochs"]
    epochs = min(max(round(recipe["images"] / pictures.count), least), most)
    draft.choose("epochs", epochs, f"{epochs * pictures.count:,} images are seen in all.")


def _enlarge_less(draft: Draft, times: int, pictures: Pictures) -> None:
    """Smaller pictures than the weights saw, where ours are so small that most pixels would be made up."""
    seen, side = draft.value("data.size"), -(-times * pictures.side // _STEP) * _STEP
    built_for = draft.config.parts["model"].options.get("image_size")
    if isinstance(seen, int) and side < seen and built_for is None and not pictures.fixed:
        draft.choose("data.size", side, f"{times} times the pictures' own {pictures.side} pixels are enough.")


def _power_of_two(number: float, least: int, most: int) -> int:
    """The largest that is at most the number, within these bounds."""
    return min(max(1 << max(0, int(number).bit_length() - 1), least), most)
