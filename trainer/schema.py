"""The types that a setting or an option may have, and the check of a value against one of them.

They serve as ordinary annotations (`lr: Positive = 0.1`), so that a signature is its own schema.
"""

import json
import math
import re
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import yaml


@dataclass(frozen=True)
class Rule:
    """What a value must fulfil beyond its type, and the words that say so."""

    words: str
    holds: Callable[[Any], bool]


@dataclass(frozen=True)
class Until:
    """A word that may stand in the value's place until the run has found one: the part is given what was found."""

    word: str


def are_sides(value: Any, least: int) -> bool:
    """Whether this is a square's side, or height and width, of so many pixels at least."""
    sides = value if isinstance(value, list) else [value, value]
    return len(sides) == 2 and min(sides) >= least


Count = Annotated[int, Rule("a whole number from 1 up", lambda value: value >= 1)]
Pixels = Annotated[
    int | list[int],
    Rule(
        "a whole number from 1 up such as 128, or [height,width], each from 1 up, such as [48,80]",
        lambda value: are_sides(value, 1),
    ),
]
Whole = Annotated[int, Rule("a whole number from 0 up", lambda value: value >= 0)]
Positive = Annotated[float, Rule("a number above 0", lambda value: 0 < value < math.inf)]
Rate = Annotated[float, Rule("a number above 0", lambda value: 0 < value < math.inf), Until("auto")]
NonNegative = Annotated[float, Rule("a number from 0 up", lambda value: 0 <= value < math.inf)]
Finite = Annotated[float, Rule("a finite number", math.isfinite)]
Fraction = Annotated[float, Rule("a number from 0 to 1", lambda value: 0 <= value <= 1)]
BelowOne = Annotated[float, Rule("a number from 0 to below 1", lambda value: 0 <= value < 1)]
Share = Annotated[float, Rule("a number between 0 and 1", lambda value: 0 < value < 1)]
UpToOne = Annotated[float, Rule("a number above 0, up to 1", lambda value: 0 < value <= 1)]
Level = Annotated[float, Rule("a level from 0 (black) to 1 (white)", lambda value: 0 <= value <= 1)]
AtLeastOne = Annotated[float, Rule("a number from 1 up", lambda value: 1 <= value < math.inf)]
Degrees = Annotated[float, Rule("an angle from 0 to 180 degrees", lambda value: 0 <= value <= 180)]
Budget = Annotated[
    str, Rule("a time such as 90s, 10min or 2h", lambda value: bool(re.fullmatch(r"[1-9]\d*(\.\d+)?(s|min|h)", value)))
]
Precise = Literal["fp32", "bf16", "fp16"]
Activation = Literal["relu", "leaky_relu", "mish", "tanh", "sigmoid"]
Pooling = Literal["average", "max", "concatenated"]
HeadInit = Literal["zero", "default", "new"]
Match = Literal["name", "order"]
Padding = Literal["reflection", "border", "zeros"]
Flip = Fraction | Literal["alternate"]

# What every data set, or every set of image files, lets one choose.
Folds = Annotated[int, Rule("a whole number from 2 up", lambda value: value >= 2)]
Validation = Share | Literal["test", "none"]
Cache = Literal["auto", "none", "ram", "disk", "device"]
Denoise = Literal["none", "median", "gaussian", "bilateral"]
Normalise = Literal["auto", "none", "mean", "mean_image", "mean_std", "imagenet"]
Normalised = Literal["none", "mean", "mean_image", "mean_std", "imagenet", "given"]
Resize = Literal["nearest", "bilinear", "bicubic", "lanczos"]
Fit = Literal["crop", "squish", "pad"]

# What else keeps and shows runs.
TrackerName = Literal["tensorboard", "mlflow", "wandb", "trackio"]

# How often a trained run looks at a picture, for its answer.
Tta = Literal["none", "flip", "crops"]

# What works out a trained run's answers.
EngineChoice = Literal["auto", "torch", "onnxruntime"]

_WORDS: dict[Any, str] = {
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    str: "text",
    NoneType: "null",
}


def describe(annotation: Any) -> str:
    """The annotation in words: 'a whole number from 1 up or null'."""
    origin = get_origin(annotation)
    if origin is Annotated:
        rules = [extra for extra in get_args(annotation)[1:] if isinstance(extra, Rule)]
        words = rules[-1].words if rules else describe(get_args(annotation)[0])
        return " or ".join([words, *choices(annotation)])
    if origin in (Union, UnionType):
        return " or ".join(describe(each) for each in get_args(annotation))
    if origin is Literal:
        return " | ".join(str(each) for each in get_args(annotation))
    if origin is list:
        return f"a list, each {describe(get_args(annotation)[0])}"
    if origin is dict:
        return f"a mapping, each value {describe(get_args(annotation)[1])}"
    return _WORDS[annotation]


def conform(value: Any, annotation: Any) -> Any:
    """The value as the annotation's type: whole numbers become floats where a float is wanted, nothing else changes.

    Raises ValueError with 'X is not WORDS' if it does not fit.
    """
    types = alternatives(annotation)
    if isinstance(value, str) and value.startswith("{") and any(get_origin(each) is dict for each in types):
        value = _read_mapping(value)
    fits, result = _fit(value, annotation)
    if not fits:
        raise ValueError(f"{value!r} is not {describe(annotation)}")
    return result


def wants_quotes(value: Any, annotation: Any) -> bool:
    """Whether a number, or true or false, stands where text is wanted, as an element or a key too.

    So it does where a YAML file says 007: what was written is lost by then, so that it cannot be taken for text.
    """
    types = alternatives(annotation)
    stands = [value] if str in types else []
    if isinstance(value, list) and list[str] in types:
        stands = value
    if isinstance(value, dict) and any(get_origin(each) is dict for each in types):
        stands = list(value)
    return any(isinstance(each, int | float) for each in stands)


def typed(text: str, annotation: Any) -> Any:
    """What was typed, as the annotation's type: text stays as it is, but for null; all else is read as YAML.

    Raises ValueError as conform does.
    """
    read: Any = text
    with suppress(yaml.YAMLError):
        read = yaml.safe_load(text)
    if "text" in describe(annotation).split(" or "):
        if list[str] in alternatives(annotation) and isinstance(read, list):
            return conform(yaml.load(text, yaml.BaseLoader), list[str])
        with suppress(ValueError):
            return conform(None if text == "null" else text, annotation)
        return conform(text, annotation)
    try:
        return conform(read, annotation)
    except ValueError:
        return conform(text, annotation)


def choices(annotation: Any) -> list[str]:
    """The words that the annotation names as choices; empty where it names none."""
    if get_origin(annotation) is Literal:
        return [each for each in get_args(annotation) if isinstance(each, str)]
    if get_origin(annotation) in (Union, UnionType):
        return [word for each in get_args(annotation) for word in choices(each)]
    if get_origin(annotation) is Annotated:
        return [each.word for each in get_args(annotation)[1:] if isinstance(each, Until)]
    return []


def alternatives(annotation: Any) -> list[Any]:
    """The types that the annotation names one by one, without their rules: [str, NoneType] of str | None."""
    if get_origin(annotation) is Annotated:
        return alternatives(get_args(annotation)[0])
    if get_origin(annotation) in (Union, UnionType):
        return [each for member in get_args(annotation) for each in alternatives(member)]
    return [annotation]


def _fit(value: Any, annotation: Any) -> tuple[bool, Any]:
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        if isinstance(value, str) and Until(value) in arguments:
            return True, value
        fits, value = _fit(value, arguments[0])
        return fits and all(rule.holds(value) for rule in arguments[1:] if isinstance(rule, Rule)), value
    if origin in (Union, UnionType):
        return next((found for each in arguments if (found := _fit(value, each))[0]), (False, value))
    if origin is Literal:
        return any(type(value) is type(each) and value == each for each in arguments), value
    if origin is list:
        return _fit_list(value, arguments[0])
    if origin is dict:
        return _fit_dict(value, arguments[1])
    if annotation is float:
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        return is_number and not math.isnan(value), float(value) if is_number else value
    if annotation is int:
        return isinstance(value, int) and not isinstance(value, bool), value
    return isinstance(value, annotation), value


def _fit_list(value: Any, item: Any) -> tuple[bool, Any]:
    if not isinstance(value, list):
        return False, value
    fitted = [_fit(each, item) for each in value]
    return all(fits for fits, _ in fitted), [result for _, result in fitted]


def _fit_dict(value: Any, item: Any) -> tuple[bool, Any]:
    if not isinstance(value, dict) or not all(isinstance(key, str) for key in value):
        return False, value
    fitted = {key: _fit(each, item) for key, each in value.items()}
    return all(fits for fits, _ in fitted.values()), {key: result for key, (_, result) in fitted.items()}


def _read_mapping(text: str) -> Any:
    """The mapping that the command line hands over as JSON (words.py); the text itself if it is none."""
    try:
        return json.loads(text)
    except ValueError:
        return text
