"""Trained weights bring what they were trained to see: what a picture is prepared like, where nobody says otherwise."""

from typing import Any

from trainer.build.data import open_source
from trainer.model.expects import Expects, expected
from trainer.preset.draft import Draft


def as_the_weights_saw(draft: Draft) -> Expects | None:
    """Chooses mean, std, resizing and size as the weights expect them, where they tell and normalise is left to us.

    Gives what they expect; None where nobody tells, or it is not for us to choose.
    """
    model = draft.config.parts["model"]
    known = expected(model.name, model.options)
    if known is None or draft.value("data.normalise") != "auto":
        return None
    options, built_for = draft.config.parts["data"].options, model.options.get("image_size")
    wanted: dict[str, Any] = {"size": built_for or known.size, "resize": known.resize, "fit": known.fit}
    if draft.value("data.fit") != "pad":
        wanted["crop_share"] = known.crop_share
    if draft.is_free("data.mean") and draft.is_free("data.std"):
        grey = bool(options["grey"]) if "grey" in options else open_source(draft.config).channels == 1
        wanted |= {"mean": _for(known.mean, grey), "std": _for(known.std, grey)}
    told = {f"data.{key}": value for key, value in wanted.items() if key in options and value is not None}
    draft.choose_all(told, f"{known.origin}.")
    return known


def _for(figures: tuple[float, ...], grey: bool) -> list[float]:
    """Those of grey pictures are the mean of red's, green's and blue's; those of colour the same three times."""
    if grey:
        return [sum(figures) / len(figures)]
    return list(figures) * (3 // len(figures))
