"""The weights of a run bring its network: the model and its options, where nobody says otherwise."""

from contextlib import suppress
from typing import Any

import yaml

from trainer.errors import TrainerError
from trainer.model.files import located
from trainer.preset.draft import Draft

_OF_BEGINNING = ("weights", "head_init", "match")
"""Options of how a network begins, which is another question than what it is."""


def as_the_run_had(draft: Draft) -> None:
    """Chooses the model that the run of model.weights had, if it is a run of ours: others fit its weights in part."""
    weights = draft.value("model.weights")
    model = _model_of_run(weights) if isinstance(weights, str) else {}
    options = {key: value for key, value in model.items() if key not in ("name", *_OF_BEGINNING)}
    if model:
        draft.choose_part("model", str(model["name"]), options, f"the network of {weights}.")


def _model_of_run(weights: str) -> dict[str, Any]:
    """As its stored config says it; nothing where there is none that can be read. What is wrong is told by others."""
    with suppress(TrainerError, OSError, ValueError, LookupError, TypeError, yaml.YAMLError):
        place = located(weights)
        if place is not None:
            stored = (place.file.parents[1] / "config.yaml").read_text(encoding="utf-8")
            return dict(yaml.safe_load(stored)["model"])
    return {}
