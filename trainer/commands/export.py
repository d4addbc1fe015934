"""export: a run as a file that other programs can use, proven on pictures before it is written."""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from trainer.errors import ConfigError
from trainer.inference.answering import check_calibration
from trainer.inference.export.making import check_installed, export
from trainer.inference.export.upload import destination, upload
from trainer.inference.export.wish import SUFFIXES, Format, Quantize, Wish, holds
from trainer.inference.saved import SavedRun, read_run
from trainer.inference.temperature import Temperature, read_temperature
from trainer.inference.written import check_writable
from trainer.report.console import Screen


def run(
    places: Sequence[str],
    words: Sequence[str],
    *,
    format: Literal["onnx", "torch_export", "safetensors", "hub"] | None = None,
    preprocess: Literal["inside", "outside"] = "inside",
    quantize: Literal["none", "int8"] = "none",
    calibrated: bool = False,
    output: str | None = None,
    hub: str | None = None,
    public: bool = False,
    plugins: list[str] | None = None,
) -> int:
    """Writes the run in a format, and beside it how its answers compare with torch's. Returns 0.

    words: data=… and data.OPTION=…, where the run's own pictures are no longer at their place. calibrated: with the
    temperature that `evaluate` has stored. output: None is export/ in the run's folder, or beside weights that lie
    alone. hub: OWNER/NAME of the repository to which the folder goes, private unless public.
    """
    made = _format(format, hub, public)
    if quantize != "none" and made != "onnx":
        raise ConfigError(f"quantize={quantize} is for format=onnx. Leave it out, or say format=onnx.")
    if made == "onnx":
        check_installed()
    saved = read_run(Path(places[0]).expanduser(), plugins or ())
    path = Path(output).expanduser() if output is not None else _place(saved, made, quantize)
    check_writable(path.parent)
    temperature = _temperature(saved) if calibrated else None
    divisor = temperature.temperature if temperature else 1.0
    wish = Wish(made, preprocess == "inside", quantize, divisor, path, hub)
    to = destination(hub, public=public) if hub else None
    with Screen() as screen:
        if to:
            screen.say(to.sentence(path))
        if temperature:
            screen.say(f"calibrated by {temperature.sentence()}")
        if to and holds(saved, wish):
            screen.say(f"{path} is there already, of these weights, and goes as it is.")
        else:
            parity = export(saved, wish, words, screen.say)
            screen.say(parity.sentence())
            screen.say(f"written: {path} and {wish.report.name}")
        if to:
            screen.say(f"uploaded: {upload(path, to)}")
    return 0


def _format(
    format: Literal["onnx", "torch_export", "safetensors", "hub"] | None, hub: str | None, public: bool
) -> Format:
    """What is made: hub and safetensors are the same folder, and what is uploaded is that."""
    if public and hub is None:
        raise ConfigError("public=true is for what is uploaded. Say where to: hub=OWNER/NAME.")
    if hub is not None and format in ("onnx", "torch_export"):
        raise ConfigError(f"hub={hub} uploads the folder that format=hub writes. Leave format={format} out.")
    if hub is not None or format == "hub":
        return "safetensors"
    return format or "onnx"


def _temperature(run: SavedRun) -> Temperature:
    check_calibration(run)
    stored = read_temperature(run)
    if stored is None:
        raise ConfigError(f"calibrated=true: no temperature is stored. First: python -m trainer evaluate {run.path}")
    return stored


def _place(run: SavedRun, format: Format, quantize: Quantize) -> Path:
    name = "model-int8" if quantize == "int8" else "model"
    if run.folder is not None:
        return run.folder.path / "export" / f"{name}{SUFFIXES[format]}"
    return run.path.with_name(f"{run.path.stem}-{name}{SUFFIXES[format]}")
