"""export through the command line: files that other programs read, proven on pictures, or not written at all."""

import json
import re
import shutil
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from PIL import Image

import trainer
from trainer.cli.main import main
from trainer.errors import TrainerError
from trainer.inference.engine import load_network
from trainer.inference.export import making, parity
from trainer.inference.export.graph import prepared_graph
from trainer.inference.network_onnx import export_network
from trainer.inference.saved import read_run
from trainer.inference.single.answering import Likeliest

pytestmark = pytest.mark.skipif(
    not all(map(find_spec, ("onnx", "onnxscript", "onnxruntime"))), reason="needs the extra [export]"
)

ODD = ('=a, "b"\nc', "path", "<i>|label|")
"""Class names that CSV, JSON, Markdown and HTML would trip over."""
COLOURS = dict(zip(ODD, ((220, 160, 40), (40, 60, 220), (230, 90, 90)), strict=True))
RUN = ("model.widths=[4,8]", "batch_size=16", "epochs=3", "optim.lr=0.02", "device=cpu", "precision=fp32")


class Ended(NamedTuple):
    code: int
    out: str
    err: str


Export = Callable[..., Ended]


@pytest.fixture
def export(capsys: pytest.CaptureFixture[str]) -> Export:
    def command(*words: str | Path) -> Ended:
        code = main(["export", *map(str, words)])
        printed = capsys.readouterr()
        return Ended(code, printed.out, printed.err)

    return command


@pytest.fixture(scope="session")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that knows three colours, of the middle of pictures of odd sizes, by figures that were given."""
    folder = tmp_path_factory.mktemp("export")
    for name, colour in COLOURS.items():
        (folder / "colours" / name).mkdir(parents=True)
        for number in range(20):
            random = np.random.default_rng(number)
            noise = random.integers(-60, 60, (int(random.integers(17, 60)), int(random.integers(17, 60)), 3))
            pixels = (np.array(colour) + noise).clip(0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(folder / "colours" / name / f"{number}.png")
    data = (
        "preset=none",
        "data=folder",
        f"data.root={folder / 'colours'}",
        "data.size=12",
        "data.cache=ram",
        "data.val=0.3",
    )
    given = ("data.crop_share=0.875", "data.mean=[0.4,0.5,0.6]", "data.std=[0.3,0.2,0.25]")
    assert main([f"output={folder}", "name=run", *RUN, *data, *given]) == 0
    return folder / "run"


@pytest.fixture(scope="session")
def recorded(run: Path) -> dict[str, bytes]:
    """What torch's exporter makes of the run: seconds, spent once."""
    saved = read_run(run)
    return {
        "network": export_network(load_network(saved), torch.zeros(2, 3, 12, 12)),
        "preparation": prepared_graph(saved.preprocessing),
    }


@pytest.fixture
def quick(recorded: dict[str, bytes], monkeypatch: pytest.MonkeyPatch) -> None:
    """The graphs of the run without the time that recording takes."""
    monkeypatch.setattr(making, "export_network", lambda *_: recorded["network"])
    monkeypatch.setattr(making, "prepared_graph", lambda _: recorded["preparation"])


def session_of(path: Path) -> Any:
    import onnxruntime

    return onnxruntime.InferenceSession(path.read_bytes(), providers=["CPUExecutionProvider"])


def pictures(run: Path) -> list[np.ndarray[Any, Any]]:
    return [np.asarray(Image.open(path)) for path in sorted((run.parent / "colours").rglob("*.png"))[::7]]


def probabilities(run: Path, images: list[np.ndarray[Any, Any]]) -> np.ndarray[Any, Any]:
    return np.array([list(each.probabilities.values()) for each in trainer.load(run, device="cpu")(images)])


def files_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.slow
def test_an_onnx_file_takes_pictures_of_any_size_and_answers_as_the_run_does(
    run: Path, quick: None, export: Export, tmp_path: Path
) -> None:
    import onnx

    ended = export(run, "format=onnx", f"output={tmp_path / 'colours.onnx'}")
    assert ended.code == 0, ended.err
    assert "Same answers as torch on 18 of 18 pictures (probabilities within" in ended.out
    assert files_in(tmp_path) == ["colours.json", "colours.onnx"]
    model = onnx.load(tmp_path / "colours.onnx")
    onnx.checker.check_model(model, full_check=True)
    session = session_of(tmp_path / "colours.onnx")
    (given,), (answered,) = session.get_inputs(), session.get_outputs()
    assert (given.name, given.type, given.shape) == ("images", "tensor(uint8)", ["batch", "height", "width", 3])
    assert (answered.name, answered.type, answered.shape) == ("probabilities", "tensor(float)", ["batch", 3])
    images = pictures(run)
    assert len({image.shape for image in images}) > 3
    theirs = np.concatenate([session.run(None, {"images": image[None]})[0] for image in images])
    assert np.abs(theirs - probabilities(run, images)).max() < 5e-3, "a level of 255 here and there"
    twice = session.run(None, {"images": np.stack([images[0], 255 - images[0]])})[0]
    assert np.abs(twice[0] - theirs[0]).max() < 1e-6 and twice.sum(axis=1) == pytest.approx(1)


@pytest.mark.slow
def test_the_report_of_another_export_and_a_file_of_the_user_stay(
    run: Path, quick: None, export: Export, tmp_path: Path
) -> None:
    kept = {"other.json": '{"file": "other.pt2"}', "mine.json": "[1]"}
    for name, content in kept.items():
        (tmp_path / name).write_text(content)
    for name in ("model.onnx", "model.onnx", "other.onnx", "mine.onnx"):
        ended = export(run, "preprocess=outside", f"output={tmp_path / name}")
        assert ended.code == 0, ended.err
    assert ended.out.endswith(f"written: {tmp_path / 'mine.onnx'} and mine.onnx.json\n")
    written = ["mine.onnx", "mine.onnx.json", "model.json", "model.onnx", "other.onnx", "other.onnx.json"]
    assert files_in(tmp_path) == sorted([*kept, *written])
    assert {name: (tmp_path / name).read_text() for name in kept} == kept


def test_the_line_tells_how_answers_to_the_files_themselves_differ() -> None:
    ours, other = parity.Difference(9e-7, 1.0), parity.Difference(0.003, 0.98)
    told = parity.Parity(50, ours, other, 0.62, 0.62, Likeliest()).sentence()
    assert told == (
        "Same answers as torch on 50 of 50 pictures (probabilities within 9e-07). Right: 62.00% (torch: 62.00%). "
        "From the files themselves, whose JPEGs predict decodes at a reduced size: on 49 of 50 (within 0.003)."
    )
    assert "files" not in parity.Parity(50, ours, ours, None, None, Likeliest()).sentence()


def test_the_metadata_and_the_report_tell_what_the_file_is(
    run: Path, quick: None, export: Export, tmp_path: Path
) -> None:
    assert export(run, f"output={tmp_path / 'colours.onnx'}").code == 0
    told = session_of(tmp_path / "colours.onnx").get_modelmeta().custom_metadata_map
    assert json.loads(told["classes"]) == sorted(ODD)
    preprocessing = json.loads(told["preprocessing"])
    assert preprocessing["place"] == "inside" and preprocessing["size"] == 12
    assert (preprocessing["crop_share"], preprocessing["mean"]) == (0.875, [0.4, 0.5, 0.6])
    summary = json.loads((run / "summary.json").read_text())
    assert json.loads(told["figures"])["best"]["val_accuracy"] == summary["best"]["val_accuracy"]
    report = json.loads((tmp_path / "colours.json").read_text())
    assert report["images"] == 18 and report["equal_answers"] == 1 and 0 <= report["max_difference"] < 5e-3
    assert report["torch_accuracy"] == summary["best"]["val_accuracy"] and report["accuracy_lost"] == 0
    assert report["classes"] == sorted(ODD)


def test_outside_it_takes_what_the_model_sees(run: Path, quick: None, export: Export, tmp_path: Path) -> None:
    ended = export(run, "preprocess=outside", f"output={tmp_path / 'bare.onnx'}")
    assert ended.code == 0, ended.err
    session = session_of(tmp_path / "bare.onnx")
    (given,) = session.get_inputs()
    assert (given.name, given.type, given.shape) == ("images", "tensor(float)", ["batch", 3, 12, 12])
    preprocessing, images = read_run(run).preprocessing, pictures(run)
    prepared = torch.stack([preprocessing.prepared(image) for image in images])
    seen = preprocessing.transform(device=torch.device("cpu"))(prepared).numpy()
    theirs = session.run(None, {"images": seen})[0]
    assert np.abs(theirs - probabilities(run, images)).max() < 1e-5
    assert json.loads((tmp_path / "bare.json").read_text())["max_difference"] < 1e-5


def test_int8_is_smaller_and_tells_what_it_costs(run: Path, quick: None, export: Export, tmp_path: Path) -> None:
    ended = export(run, "quantize=int8", f"output={tmp_path / 'small.onnx'}")
    assert ended.code == 0, ended.err
    import onnx

    kinds = {node.op_type for node in onnx.load(tmp_path / "small.onnx").graph.node}
    assert {"QuantizeLinear", "DequantizeLinear"} <= kinds
    report = json.loads((tmp_path / "small.json").read_text())
    assert report["quantize"] == "int8" and report["equal_answers"] >= 0.97
    assert report["accuracy_lost"] == pytest.approx(report["torch_accuracy"] - report["accuracy"])
    assert re.search(r"Right: [\d.]+% \(torch: [\d.]+%\)\.", ended.out)


@pytest.mark.slow
def test_a_program_of_torch_answers_as_the_run_does(run: Path, export: Export, tmp_path: Path) -> None:
    ended = export(run, "format=torch_export", f"output={tmp_path / 'colours.pt2'}")
    assert ended.code == 0, ended.err
    extra = {"classes": ""}
    program = torch.export.load(tmp_path / "colours.pt2", extra_files=extra).module()
    assert json.loads(extra["classes"]) == sorted(ODD)
    images = pictures(run)
    theirs = np.concatenate([program(torch.tensor(image)[None]).numpy() for image in images])
    assert np.abs(theirs - probabilities(run, images)).max() < 5e-3


def test_a_folder_for_the_hub_loads_as_the_run_and_its_card_says_what_was_measured(
    run: Path, export: Export, tmp_path: Path
) -> None:
    folder = tmp_path / "hub"
    ended = export(run, "format=safetensors", f"output={folder}")
    assert ended.code == 0, ended.err
    assert files_in(folder) == ["README.md", "config.json", "model.safetensors", "parity.json"]
    images = pictures(run)
    assert (probabilities(folder, images) == probabilities(run, images)).all()
    words = (f"data.root={run.parent / 'colours'}", f"output={tmp_path / 'evaluation'}")
    assert main(["evaluate", str(folder), *words]) == 0, "its loss is known too"
    card = (folder / "README.md").read_text()
    best = json.loads((run / "summary.json").read_text())["best"]
    assert f"accuracy {100 * best['val_accuracy']:.2f}%" in card
    assert "It sees the central 0.875 of each side of the central square of a picture" in card
    assert "&lt;i&gt;\\|label\\|" in card and "<i>" not in card
    about = json.loads((run / "run.json").read_text())
    assert about["fingerprint"] in card and "optim: adamw" in card
    from safetensors.torch import load_file

    theirs = load_file(folder / "model.safetensors")
    assert {name: tensor.shape for name, tensor in theirs.items()} == {
        name: tensor.shape for name, tensor in read_run(run).weights.items()
    }
    again = export(run, "format=safetensors", f"output={folder}")
    assert again.code == 5 and "is there already" in again.err


def test_the_card_tells_the_evaluation_of_these_weights(
    run: Path, export: Export, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    copied = tmp_path / "run"
    shutil.copytree(run, copied)
    assert main(["evaluate", str(copied)]) == 0
    scores = json.loads((copied / "evaluation" / "val" / "evaluation.json").read_text())
    assert export(copied, "format=safetensors").code == 0
    card = (copied / "export" / "model" / "README.md").read_text()
    low, high = scores["intervals"]["accuracy"]
    told = f"accuracy {100 * scores['accuracy']:.2f}% (95% interval {100 * low:.2f}% to {100 * high:.2f}%)"
    assert told in card and f"calibration error {100 * scores['ece']:.2f}%" in card
    path = scores["per_class"]["path"]
    figures = " | ".join(f"{100 * path[key]:.2f}%" for key in ("precision", "recall", "f1"))
    assert f"| path | {figures} | {path['support']} |" in card


def test_the_temperature_that_evaluate_stored_is_applied_on_request(
    run: Path, quick: None, export: Export, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("preprocess=outside", f"output={tmp_path / 'calm.onnx'}", "calibrated=true")
    alone = tmp_path / "best.pt"
    alone.write_bytes((run / "checkpoints" / "best.pt").read_bytes())
    refused = export(alone, *words)
    assert refused.code == 2 and "no temperature is stored" in refused.err
    assert main(["evaluate", str(run), f"output={tmp_path / 'evaluation'}"]) == 0
    stored = json.loads((run / "evaluation" / "temperature.json").read_text())["temperature"]
    assert export(run, *words).code == 0
    report = json.loads((tmp_path / "calm.json").read_text())
    assert report["temperature"] == stored and report["max_difference"] < 1e-5
    image = np.random.default_rng(0).normal(size=(1, 3, 12, 12)).astype(np.float32)
    with torch.inference_mode():
        logits = load_network(read_run(run))(torch.from_numpy(image))
    theirs = session_of(tmp_path / "calm.onnx").run(None, {"images": image})[0]
    assert theirs == pytest.approx((logits / stored).softmax(dim=1).numpy(), abs=1e-5)


@pytest.mark.parametrize("quantize", ["none", "int8"])
def test_a_file_that_answers_otherwise_is_not_written(
    run: Path,
    recorded: dict[str, bytes],
    export: Export,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    quantize: str,
) -> None:
    import onnx
    from onnx import numpy_helper

    wrong = onnx.load_from_string(recorded["network"])
    (bias,) = (each for each in wrong.graph.initializer if list(each.dims) == [3])
    bias.CopyFrom(numpy_helper.from_array(np.array([0, 0, 99], dtype=np.float32), bias.name))
    monkeypatch.setattr(making, "export_network", lambda *_: wrong.SerializeToString())
    words = ("preprocess=outside", f"quantize={quantize}", f"output={tmp_path / 'wrong.onnx'}")
    ended = export(run, *words)
    assert ended.code == 1 and "nothing is written" in ended.err and ended.err.count("\n") == 1
    assert files_in(tmp_path) == []


def test_answers_are_compared_by_the_share_that_is_equal() -> None:
    ours = np.eye(2)[[0] * 100 + [1] * 100]
    theirs = ours.copy()
    theirs[0] = [0.4, 0.6]
    found = parity.Difference.of(Likeliest(), ours, theirs)
    assert (found.most, found.equal) == (0.6, 0.995)
    parity.Parity(200, found, None, None, None, Likeliest()).check("none")
    theirs[1] = theirs[0]
    with pytest.raises(TrainerError, match="only 99% of 200 answers"):
        parity.Parity(200, parity.Difference.of(Likeliest(), ours, theirs), None, None, None, Likeliest()).check("none")
    with pytest.raises(TrainerError):
        parity.Parity(
            200, parity.Difference.of(Likeliest(), ours, np.full_like(ours, np.nan)), None, None, None, Likeliest()
        ).check("int8")


def test_missing_packages_are_one_line_that_names_the_extra(
    run: Path, export: Export, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(making, "find_spec", lambda name: None if name != "onnx" else object())
    ended = export(run)
    assert ended.code == 2
    assert ended.err.count("\n") == 1
    assert ended.err.startswith("format=onnx: onnxscript and onnxruntime are not installed.")
    assert "pip install 'trainer[export]'" in ended.err


REFUSED = {
    "no run": ((), 2, "export: name one run"),
    "two runs": (("{run}", "{run}"), 2, "export: name one run"),
    "no run there": (("{tmp}/nothing",), 4, "is no run folder"),
    "no format": (("{run}", "format=onxn"), 2, "Did you mean 'onnx'?"),
    "int8 of torch": (("{run}", "format=torch_export", "quantize=int8"), 2, "quantize=int8 is for format=onnx"),
    "no pictures": (("{run}", "data.root={tmp}/nowhere"), 3, "there is no folder"),
    "output is in a file": (("{run}", "output={tmp}/file/x.onnx"), 5, "is no folder"),
    "output is a folder": (("{run}", "preprocess=outside", "output={tmp}"), 5, "is a folder. Name a file"),
    "another's folder": (("{tmp}/foreign",), 4, "was not exported by this program"),
    "damaged folder": (("{tmp}/damaged",), 4, "is damaged"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_exported_is_one_line_and_leaves_nothing(
    run: Path, quick: None, export: Export, tmp_path: Path, name: str
) -> None:
    (tmp_path / "file").write_text("x")
    for folder, ours in (("foreign", {}), ("damaged", {"trainer": {}})):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "config.json").write_text(json.dumps(ours))
    before = sorted(map(str, tmp_path.rglob("*")))
    words, code, message = REFUSED[name]
    ended = export(*(word.format(run=run, tmp=tmp_path) for word in words))
    assert (ended.code, ended.err.count("\n")) == (code, 1), ended.err
    assert message in ended.err
    assert sorted(map(str, tmp_path.rglob("*"))) == before
