"""The recipe that suits some pictures, by their number and size, and by whether there are weights: conf/preset.yaml."""

from dataclasses import dataclass
from typing import Any

import yaml

from trainer.config import conf_folder
from trainer.preset.draft import Draft


@dataclass(frozen=True)
class Pictures:
    """What a recipe is chosen by."""

    count: int
    """In the training part."""
    size: int
    """Pixels on a side of what the model sees."""


def suit(draft: Draft, pictures: Pictures) -> None:
    """Chooses model, epochs, batch size, rate and augmentation, each where nobody has said it."""
    whole = yaml.safe_load((conf_folder() / "preset.yaml").read_text(encoding="utf-8"))
    with_weights = draft.config.parts["model"].options.get("weights") is not None
    recipe = whole["weights" if with_weights else "scratch"]
    for rule in recipe["by_size"]:
        if rule["up_to"] is None or pictures.size <= rule["up_to"]:
            _choose_all(draft, rule["values"], f"for pictures of {pictures.size} px.")
            break
