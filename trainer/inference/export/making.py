"""export: the file of a run in the format that is asked for, written once it has answered as the run does."""

from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path

import torch

from trainer.errors import ConfigError, OutputError, TrainerError, first_line
from trainer.inference.answering import answering_of
from trainer.inference.engine import load_network
from trainer.inference.export.graph import assembled, describe, prepared_graph
from trainer.inference.export.parity import Answer, Parity, prove
from trainer.inference.export.pictures import Proof, proof
from trainer.inference.export.program import program, read_program
from trainer.inference.export.published import publish
from trainer.inference.export.quantised import quantised
from trainer.inference.export.whole import example
from trainer.inference.export.wish import Wish, as_torch_answers, report, told
from trainer.inference.network_onnx import IMAGES, export_network
from trainer.inference.saved import SavedRun
from trainer.records.folder import cannot_write, replace_text
from trainer.system import durable

_CALIBRATION_BATCH = 8


def check_installed() -> None:
    """Raises ConfigError if a package that ONNX files are made with is missing."""
    missing = [name for name in ("onnx", "onnxscript", "onnxruntime") if find_spec(name) is None]
    if missing:
        raise ConfigError(
            f"format=onnx: {' and '.join(missing)} {'is' if len(missing) == 1 else 'are'} not installed. "
            "Install what it takes: pip install 'trainer[export]'"
        )


def export(run: SavedRun, wish: Wish, words: Sequence[str], say: Callable[[str], None]) -> Parity:
    """Writes the file and the report beside it. words: data=… of other pictures to prove it on.

    Raises TrainerError in one line, with nothing written, if it cannot be made or does not answer as the run does.
    """
    pictures = proof(run, words)  # before the work: it is no export without them
    if wish.format == "safetensors":
        return publish(run, wish, pictures)
    say(f"Writing the network as {wish.format}: a model of many layers takes a minute.")
    content, answer = (_onnx if wish.format == "onnx" else _program)(run, wish, pictures)
    say(f"Asking it and torch about {len(pictures):,} pictures.")
    parity = prove(as_torch_answers(run, wish.temperature), answer, pictures, inside=wish.inside)
    parity.check(wish.quantize)
    put(wish.output, content)
    replace_text(wish.report, report(run, wish, parity))
    return parity


def put(path: Path, content: bytes) -> None:
    """Writes the file in one piece. Raises OutputError."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        durable.replace(path, content)
    except IsADirectoryError as error:
        raise OutputError(f"{path} is a folder. Name a file: output={path}/model{path.suffix}") from error
    except OSError as error:
        raise cannot_write(path, error) from error


def _onnx(run: SavedRun, wish: Wish, pictures: Proof) -> tuple[bytes, Answer]:
    import onnx
    import onnxruntime  # type: ignore[import-untyped]

    seen, _ = example(run, inside=False)
    network = export_network(load_network(run), seen)
    if wish.quantize == "int8":
        network = quantised(network, pictures.calibrating(_CALIBRATION_BATCH))
    try:
        preparation = prepared_graph(run.preprocessing) if wish.inside else None
        model = assembled(network, preparation, wish.temperature, answering_of(run).activation)
        describe(model, told(run, wish))
        onnx.checker.check_model(model, full_check=True)
    except (ValueError, onnx.checker.ValidationError) as error:  # beyond 2 GB, or two graphs that do not go together
        raise TrainerError(f"this network cannot be written as ONNX ({first_line(error)}).") from error
    content = model.SerializeToString()
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # errors
    session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    return content, lambda images: session.run(None, {IMAGES: images})[0]


def _program(run: SavedRun, wish: Wish, _: Proof) -> tuple[bytes, Answer]:
    content = program(run, wish.inside, wish.temperature, told(run, wish))
    module = read_program(content)
    return content, lambda images: module(torch.from_numpy(images)).numpy()
