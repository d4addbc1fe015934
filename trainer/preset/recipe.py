"""The recipe that suits some pictures, by their number and size, and by whether there are weights: conf/preset.yaml."""

from dataclasses import dataclass

import yaml

from trainer.config import conf_folder
from trainer.preset.draft import Draft

_LARGE = 48
"""Pixels on a side above which a picture holds more than one look can take in."""


@dataclass(frozen=True)
class Pictures:
    """What a recipe is chosen by: how many are trained on, and pixels on a side of what the model sees."""

    count: int
    size: int


def suit(draft: Draft, pictures: Pictures) -> None:
    """Chooses how long and in which batches to train, and what else the recipe says, each where nobody has said it."""
    recipes = yaml.safe_load((conf_folder() / "preset.yaml").read_text(encoding="utf-8"))
    starts_from = "weights" if draft.config.parts["model"].options.get("weights") else "scratch"
    recipe = recipes[starts_from]
    of_this = "from trained weights" if starts_from == "weights" else "from scratch"
    values = {**recipe["values"], **(recipe["large"] if pictures.size > _LARGE else {})}
    for key, value in values.items():
        room, _, option = key.partition(".")
        if not option or option in draft.config.parts[room].options:
            draft.choose(key, value, f"what measured best {of_this} at {pictures.size} px.")
    batch = _power_of_two(pictures.count / recipe["steps"], *recipe["batch_size"])
    draft.choose(
        "batch_size", batch, f"so that an epoch of {pictures.count:,} images has {recipe['steps']} steps or so."
    )
    least, most = recipe["epochs"]
    epochs = min(max(round(recipe["images"] / pictures.count), least), most)
    draft.choose("epochs", epochs, f"{pictures.count:,} images, of which {epochs * pictures.count:,} are seen in all.")


def _power_of_two(number: float, least: int, most: int) -> int:
    """The largest that is at most the number, within these bounds."""
    return min(max(1 << max(0, int(number).bit_length() - 1), least), most)
