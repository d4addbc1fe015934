"""export: a run as a file that other programs can use, proven on pictures before it is written."""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from trainer.errors import ConfigError
from trainer.inference.answering import check_calibration
from trainer.inference.export.making import check_installed, export
from trainer.inference.export.wish import SUFFIXES, Format, Quantize, Wish
from trainer.inference.saved import SavedRun, read_run
from trainer.inference.temperature import Temperature, read_temperature
from trainer.inference.written import check_writable
from trainer.report.console import Screen


def run(
    places: Sequence[str],
    words: Sequence[str],
    *,
    format: Literal["onnx", "torch_export", "safetensors"] = "onnx",
    preprocess: Literal["inside", "outside"] = "inside",
    quantize: Literal["none", "int8"] = "none",
    calibrated: bool = False,
    output: str | None = None,
    plugins: list[str] | None = None,
) -> int:
    """Writes the run in a format, and beside it how its answers compare with torch's. Returns 0.

    words: data=… and data.OPTION=…, where the run's own pictures are no longer at their place. calibrated: with the
    temperature that `evaluate` has stored. output: None is export/ in the run's folder, or beside weights that lie
    alone.
    """
    if quantize != "none" and format != "onnx":
        raise ConfigError(f"quantize={quantize} is for format=onnx. Leave it out, or say format=onnx.")
    if format == "onnx":
        check_installed()
    saved = read_run(Path(places[0]).expanduser(), plugins or ())
    path = Path(output).expanduser() if output is not None else _place(saved, format, quantize)
    check_writable(path.parent)
    temperature = _temperature(saved) if calibrated else None
    divisor = temperature.temperature if temperature else 1.0
    wish = Wish(format, preprocess == "inside", quantize, divisor, path)
    with Screen() as screen:
        if temperature:
            screen.say(f"calibrated by {temperature.sentence()}")
        parity = export(saved, wish, words, screen.say)
        screen.say(parity.sentence())
        screen.say(f"written: {path} and {wish.report.name}")
    return 0


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
