"""Trained weights bring what they were trained to see: what a picture is prepared like, where nobody says otherwise."""

from trainer.model.expects import expected
from trainer.preset.draft import Draft


def as_the_weights_saw(draft: Draft) -> None:
    """Chooses mean, std, resizing and size as the weights expect them, where they tell and normalise is left to us."""
    model = draft.config.parts["model"]
    known = expected(model.name, model.options)
    if known is None or draft.value("data.normalise") != "auto":
        return
    options = draft.config.parts["data"].options
    grey = bool(options.get("grey"))
    reason = f"{known.origin}."
    if not options.get("mean") and not options.get("std"):
        draft.choose("data.mean", _for(known.mean, grey), reason)
        draft.choose("data.std", _for(known.std, grey), reason)
    built_for = model.options.get("image_size")
    wanted = {"size": built_for or known.size, "resize": known.resize, "fit": known.fit}
    for key, value in (wanted | {"crop_share": known.crop_share}).items():
        if key in options and value is not None and (key != "crop_share" or draft.value("data.fit") != "pad"):
            draft.choose(f"data.{key}", value, reason)


def _for(figures: tuple[float, ...], grey: bool) -> list[float]:
    """Those of grey pictures are the mean of red's, green's and blue's."""
    return [sum(figures) / len(figures)] if grey else list(figures)
