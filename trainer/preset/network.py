"""The weights of a run bring its network: the model and its options, where nobody says otherwise."""

from contextlib import suppress

from trainer.errors import TrainerError
from trainer.model.files import located
from trainer.model.hub import ON_HUB
from trainer.preset.draft import Draft
from trainer.records.folder import RunFolder
from trainer.settings import Choice

_OF_BEGINNING = ("weights", "head_init", "match")
"""Options of how a network begins, which is another question than what it is."""


def as_the_run_had(draft: Draft) -> None:
    """Chooses the model that the run of model.weights had, if it is a run of ours: others fit its weights in part."""
    weights = draft.value("model.weights")
    model = _model_of_run(weights) if isinstance(weights, str) and not weights.startswith(ON_HUB) else None
    if model is not None:
        options = {key: value for key, value in model.options.items() if key not in _OF_BEGINNING}
        draft.choose_part("model", model.name, options, f"the network of {weights}.")


def _model_of_run(weights: str) -> Choice | None:
    """As its stored config says it; None where there is none to be read. What is wrong with the weights others tell."""
    with suppress(TrainerError, IndexError):
        place = located(weights)
        return RunFolder(place.file.parents[1]).read_config().parts["model"] if place is not None else None
    return None
