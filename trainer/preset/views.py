"""Trained weights bring what they were trained to see: what a picture is prepared like, where nobody says otherwise."""

from typing import Any

from trainer.model.expects import expected
from trainer.preset.draft import Draft


def as_the_weights_saw(draft: Draft) -> None:
    """Chooses mean, std, resizing and size as the weights expect them, where they tell and normalise is left to us."""
    model = draft.config.parts["model"]
    known = expected(model.name, model.options)
    if known is None or draft.value("data.normalise") != "auto":
        return
    options, built_for = draft.config.parts["data"].options, model.options.get("image_size")
    wanted: dict[str, Any] = {"size": built_for or known.size, "resize": known.resize, "fit": known.fit}
    if draft.value("data.fit") != "pad":
        wanted["crop_share"] = known.crop_share
    if draft.is_free("data.mean") and draft.is_free("data.std"):
        grey = bool(options.get("grey"))
        wanted |= {"mean": _for(known.mean, grey), "std": _for(known.std, grey)}
    told = {f"data.{key}": value for key, value in wanted.items() if key in options and value is not None}
    draft.choose_all(told, f"{known.origin}.")


def _for(figures: tuple[float, ...], grey: bool) -> list[float]:
    """Those of grey pictures are the mean of red's, green's and blue's."""
    return [sum(figures) / len(figures)] if grey else list(figures)
