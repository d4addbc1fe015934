"""predict, trainer.load and export with a run whose pictures have several labels, or none."""

import csv
import io
import json
import shutil
from collections.abc import Callable
from importlib.util import find_spec
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from shared import Ended
from sklearn.metrics import f1_score

import trainer
from trainer.cli.main import main
from trainer.errors import CheckpointError, ConfigError, TrainerError
from trainer.inference import onnx_engine
from trainer.inference.engine import load_network
from trainer.inference.export import making
from trainer.inference.export.parity import Difference, Parity
from trainer.inference.multi.answering import Reaching
from trainer.inference.network_onnx import export_network
from trainer.inference.saved import read_run
from trainer.task.multi import Multi

NAMES = ("=red", "a|b", "no label")
"""Labels that CSV, the list in a cell and the answer of none would trip over; each is a channel that is bright."""
TINY = ("model.widths=[4,8]", "batch_size=16", "optim.lr=0.05", "device=cpu", "precision=fp32", "report=false")
SAID = ("task=multi", "preset=none", "aug=none", "data.size=12", "data.val=0.3", "data.cache=ram", *TINY)
Command = Callable[..., Ended]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of the three labels, in every combination."""
    folder = tmp_path_factory.mktemp("several")
    (folder / "pictures").mkdir()
    rng = np.random.default_rng(0)
    lines = ["file;labels"]
    for number, shown in enumerate(list(product((False, True), repeat=3)) * 8):
        pixels = np.where(shown, 200, 50) + rng.integers(-40, 40, (16, 18, 3))
        Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(folder / "pictures" / f"{number}.png")
        lines.append(f"pictures/{number}.png;{'/'.join(np.array(NAMES)[list(shown)])}")
    (folder / "table.csv").write_text("\n".join(lines) + "\n")
    data = ("data=table", f"data.file={folder / 'table.csv'}", "data.separator=/")
    assert main([f"output={folder}", "name=run", "epochs=8", *SAID, *data]) == 0
    return folder / "run"


@pytest.fixture
def command(capsys: pytest.CaptureFixture[str]) -> Command:
    def call(*words: str | Path) -> Ended:
        code = main([*map(str, words)])
        printed = capsys.readouterr()
        return Ended(code, printed.out, printed.err)

    return call


@pytest.fixture
def predict(command: Command) -> Command:
    return lambda *words: command("predict", "engine=torch", *words)


@pytest.fixture(scope="module")
def recorded(run: Path) -> bytes:
    """What torch's exporter makes of the run: seconds, spent once."""
    if not all(map(find_spec, ("onnx", "onnxscript", "onnxruntime"))):
        pytest.skip("needs the extra [export]")
    return export_network(load_network(read_run(run)), torch.zeros(2, 3, 12, 12))


@pytest.fixture
def quick(recorded: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (making, onnx_engine):
        monkeypatch.setattr(module, "export_network", lambda *_: recorded)


def pictures(run: Path) -> list[Path]:
    return sorted((run.parent / "pictures").iterdir())[::5]


def thresholds(run: Path) -> dict[str, float]:
    """As the end of the training told them."""
    figures = json.loads((run / "summary.json").read_text())["per_class"]
    return {name: figures[name]["threshold"] for name in NAMES}


def seen(run: Path) -> torch.Tensor:
    """The pictures as the model sees them."""
    preprocessing = read_run(run).preprocessing
    prepared = torch.stack([preprocessing.prepared(path) for path in pictures(run)])
    return preprocessing.transform(device=torch.device("cpu"))(prepared).contiguous()


def probabilities(run: Path, paths: list[Path], **options: Any) -> np.ndarray[Any, Any]:
    return np.array([list(each.probabilities.values()) for each in trainer.load(run, device="cpu", **options)(paths)])


def kinds_of(folder: Path) -> dict[str, set[str]]:
    return {kind.name: {path.name for path in kind.iterdir()} for kind in folder.iterdir() if any(kind.iterdir())}


def test_the_labels_that_reach_the_thresholds_of_the_training_are_answered_likeliest_first(run: Path) -> None:
    answers, least = trainer.load(run)(pictures(run)), thresholds(run)
    for answer in answers:
        reached = [name for name, share in answer.probabilities.items() if share >= least[name]]
        assert list(answer.labels) == sorted(reached, key=lambda name: -answer.probabilities[name])
        assert answer.name == (", ".join(answer.labels) or "no label")
        assert answer.probability == max(answer.probabilities.values())
    assert len({answer.labels for answer in answers}) > 4


def test_probabilities_are_sigmoids_of_the_networks_logits(run: Path) -> None:
    with torch.inference_mode():
        logits = load_network(read_run(run))(seen(run)).double()
    assert probabilities(run, pictures(run)) == pytest.approx(1 / (1 + np.exp(-logits.numpy())), abs=1e-6)


def test_csv_has_the_labels_in_one_cell_and_a_column_a_class(predict: Command, run: Path) -> None:
    paths = pictures(run)
    ended = predict(run, *paths)
    head, *rows = csv.reader(io.StringIO(ended.out))
    assert head == ["path", "prediction", "'=red", "a|b", "no label", "error"]
    for path, answer, row in zip(paths, trainer.load(run)(paths), rows, strict=True):
        cell = "|".join(answer.labels).replace("a|b", r"a\|b")
        told = [f"{share:.6f}" for share in answer.probabilities.values()]
        assert row == [str(path), f"'{cell}" if cell.startswith("=") else cell, *told, ""]


def test_json_lines_have_a_list_of_labels_and_a_mapping_of_probabilities(predict: Command, run: Path) -> None:
    broken = run.parent / "broken.png"
    broken.write_bytes(b"no picture")
    path = run.parent / "pictures" / "6.png"  # the first two labels
    (answer,) = trainer.load(run)(path)
    ended = predict(run, path, broken, "format=jsonl")
    lines = [json.loads(line) for line in ended.out.splitlines()]
    assert lines[0] == {
        "path": str(path),
        "prediction": list(answer.labels),
        "probabilities": {name: round(share, 6) for name, share in answer.probabilities.items()},
        "error": None,
    }
    assert {*lines[0]["prediction"]} == {"=red", "a|b"}
    assert (lines[1]["prediction"], lines[1]["probabilities"]) == (None, None) and lines[1]["error"]
    assert ended.code == 3


def test_a_threshold_stands_in_place_of_those_of_all_labels(predict: Command, run: Path) -> None:
    path = pictures(run)[1]
    all_of_them, none = (json.loads(predict(run, path, f"threshold={at}", "format=jsonl").out) for at in (0, 1))
    (answer,) = trainer.load(run)(path)
    assert all_of_them["prediction"] == [name for name, _ in answer.top(3)] and none["prediction"] == []
    _, row = csv.reader(io.StringIO(predict(run, path, "threshold=1").out))
    assert row[1] == "", "no label is an empty cell"
    table = predict(run, path, "threshold=1", "format=table").out
    assert table.splitlines()[1].startswith("no label ")


def test_a_threshold_in_the_config_holds_for_all_labels(run: Path, tmp_path: Path) -> None:
    copied = Path(shutil.copytree(run, tmp_path / "run"))
    config = (copied / "config.yaml").read_text()
    assert "threshold: null" in config
    (copied / "config.yaml").write_text(config.replace("threshold: null", "threshold: 0.5"))
    for answer in trainer.load(copied)(pictures(run)):
        assert {*answer.labels} == {name for name, share in answer.probabilities.items() if share >= 0.5}


def test_weights_without_a_validation_answer_from_one_half_on_and_say_so(predict: Command, run: Path) -> None:
    last, path = run / "checkpoints" / "last.pt", pictures(run)[1]
    ended = predict(last, path)
    assert f"{last} tells of no validation to choose thresholds by: each label has 0.5." in ended.err
    assert "tells of no validation" not in predict(last, path, "threshold=0.4").err
    (answer,) = trainer.load(last)(path)
    assert {*answer.labels} == {name for name, share in answer.probabilities.items() if share >= 0.5}


def test_a_picture_lies_in_the_folder_of_each_of_its_labels(predict: Command, run: Path, tmp_path: Path) -> None:
    paths = [run.parent / "pictures" / f"{number}.png" for number in (0, 2, 6, 7)]
    answers = dict(zip(paths, trainer.load(run)(paths), strict=True))
    folders = {"=red": "=red", "a|b": "a_b", "no label": "no label-2"}
    wanted: dict[str, set[str]] = {}
    for path, answer in answers.items():
        for kind in [folders[label] for label in answer.labels] or ["no label"]:
            wanted.setdefault(kind, set()).add(path.name)
    for _ in range(2):
        ended = predict(run, *paths, f"sort={tmp_path / 'links'}")
        assert kinds_of(tmp_path / "links") == wanted
    assert f"=red {len(wanted['=red'])}, a_b {len(wanted['a_b'])}" in ended.err
    predict(run, *paths, f"sort={tmp_path / 'copies'}", "copy=true")
    assert kinds_of(tmp_path / "copies") == wanted
    predict(run, *paths, f"sort={tmp_path / 'links'}", "threshold=1")
    assert kinds_of(tmp_path / "links") == {"no label": {path.name for path in paths}}


def test_what_means_nothing_to_several_labels_is_one_line(
    predict: Command, command: Command, run: Path, tmp_path: Path
) -> None:
    path = pictures(run)[0]
    refused = {
        "topk": predict(run, path, "topk=2"),
        "calibrated": predict(run, path, "calibrated=true"),
    }
    for word, ended in refused.items():
        assert (ended.code, ended.out, ended.err.count("\n")) == (2, "", 1) and ended.err.startswith(f"{word}: ")
    ended = command("export", run, "format=safetensors", "calibrated=true", f"output={tmp_path / 'hub'}")
    assert (ended.code, ended.out) == (2, "") and ended.err == refused["calibrated"].err
    with pytest.raises(ConfigError, match="calibrated: "):
        trainer.load(run, calibrated=True)


def test_an_answer_depends_on_its_picture_alone_and_looks_are_averaged_as_probabilities(run: Path) -> None:
    paths = pictures(run)
    mirrored = [Image.open(path).transpose(Image.Transpose.FLIP_LEFT_RIGHT) for path in paths]
    together = probabilities(run, paths, tta="flip")
    alone = np.concatenate([probabilities(run, [path], tta="flip") for path in paths])
    assert together == pytest.approx(alone, abs=1e-6)
    both = probabilities(run, paths) + probabilities(run, mirrored)  # type: ignore[arg-type]
    assert together == pytest.approx(both / 2, abs=1e-6)


@pytest.mark.slow
def test_onnx_runtime_answers_as_torch_does(
    command: Command, run: Path, quick: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(onnx_engine, "_export_beside", onnx_engine.make)
    words = ("predict", run, *pictures(run))
    theirs, ours = command(*words, "engine=onnxruntime"), command(*words, "engine=torch")
    assert "by onnxruntime on cpu" in theirs.err
    for one, other in zip(csv.reader(io.StringIO(theirs.out)), csv.reader(io.StringIO(ours.out)), strict=True):
        assert one[:2] == other[:2]
    assert probabilities(run, pictures(run), engine="onnxruntime") == pytest.approx(
        probabilities(run, pictures(run)), abs=1e-5
    )


@pytest.mark.slow
def test_an_onnx_file_gives_sigmoids_and_tells_the_task_and_its_thresholds(
    command: Command, run: Path, quick: None, tmp_path: Path
) -> None:
    import onnxruntime

    ended = command("export", run, "preprocess=outside", f"output={tmp_path / 'several.onnx'}")
    assert ended.code == 0, ended.err
    session = onnxruntime.InferenceSession(tmp_path / "several.onnx", providers=["CPUExecutionProvider"])
    (theirs,) = session.run(None, {"images": seen(run).numpy()})
    assert theirs == pytest.approx(probabilities(run, pictures(run)), abs=1e-5)
    told = {key: json.loads(value) for key, value in session.get_modelmeta().custom_metadata_map.items()}
    assert (told["task"], told["thresholds"]) == ("multi", thresholds(run))
    report = json.loads((tmp_path / "several.json").read_text())
    best = json.loads((run / "summary.json").read_text())["best"]
    assert report["torch_map"] == pytest.approx(best["val_map"], abs=1e-4) and report["equal_answers"] == 1
    assert f"Mean average precision: {report['map']:.2%} (torch: {report['torch_map']:.2%})." in ended.out


def test_int8_tells_what_it_costs_in_mean_average_precision(
    command: Command, run: Path, quick: None, tmp_path: Path
) -> None:
    words = ("quantize=int8", "preprocess=outside", f"output={tmp_path / 'small.onnx'}")
    ended = command("export", run, *words)
    assert ended.code == 0, ended.err
    report = json.loads((tmp_path / "small.json").read_text())
    assert report["map_lost"] == pytest.approx(report["torch_map"] - report["map"])


@pytest.mark.slow
def test_a_program_of_torch_gives_sigmoids(command: Command, run: Path, tmp_path: Path) -> None:
    words = ("format=torch_export", "preprocess=outside", f"output={tmp_path / 'several.pt2'}")
    ended = command("export", run, *words)
    assert ended.code == 0, ended.err
    extra = {"task": "", "thresholds": ""}
    program = torch.export.load(tmp_path / "several.pt2", extra_files=extra).module()
    assert (json.loads(extra["task"]), json.loads(extra["thresholds"])) == ("multi", thresholds(run))
    assert program(seen(run)).numpy() == pytest.approx(probabilities(run, pictures(run)), abs=1e-5)


def test_a_folder_for_the_hub_answers_as_the_run_and_its_card_says_from_where_on(
    command: Command, predict: Command, run: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "hub"
    ended = command("export", run, "format=safetensors", f"output={folder}")
    assert ended.code == 0, ended.err
    assert predict(folder, *pictures(run)).out == predict(run, *pictures(run)).out
    card, best = (folder / "README.md").read_text(), json.loads((run / "summary.json").read_text())["best"]
    assert "It says which of 3 labels a picture has, several or none" in card
    assert f"mean average precision {best['val_map']:.2%}" in card
    assert rf"1. a\|b, answered from {thresholds(run)['a|b']:.2%} on" in card
    config = json.loads((folder / "config.json").read_text())
    del config["trainer"]["thresholds"]["a|b"]
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(CheckpointError, match="is damaged"):
        trainer.load(folder)


def test_answers_are_equal_where_all_labels_of_a_picture_are_and_a_file_is_measured_by_its_labels() -> None:
    answering = Reaching(Multi(), np.array([0.5, 0.2]))
    ours = np.array([[0.6, 0.1], [0.6, 0.1], [0.4, 0.3], [0.9, 0.9]])
    theirs = np.array([[0.9, 0.19], [0.6, 0.21], [0.45, 0.3], [0.9, 0.1]])
    found = Difference.of(answering, ours, theirs)
    assert (found.equal, found.most) == (0.5, pytest.approx(0.8))
    said = [np.ravel(each >= [0.5, 0.2]) for each in (ours, theirs)]
    assert found.labels == pytest.approx(f1_score(*said))
    with pytest.raises(TrainerError, match="only 80% of the labels of 4 answers are torch's, and 97% are asked for"):
        Parity(4, found, None, None, None, answering).check("int8")
    none = np.zeros((4, 2))
    assert Difference.of(answering, none, none).labels == 1


@pytest.mark.parametrize("task", ["single", "multi"])
def test_a_run_begins_from_the_weights_of_another_task(
    command: Command, run: Path, unbroken: Path, tmp_path: Path, task: str
) -> None:
    weights = (run if task == "single" else unbroken) / "checkpoints" / "best.pt"
    data = ("data=glyphs", "data.images=64", "data.classes=4", f"task={task}", *TINY)
    begun = (f"model.weights={weights}", "data.size=12", "epochs=1", f"output={tmp_path}", "name=begun")
    ended = command(*data, *begun)
    assert ended.code == 0, ended.err
