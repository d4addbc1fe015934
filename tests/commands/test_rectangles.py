"""A run on pictures wider than high, through the command line: trained, broken off, scored, asked, exported."""

import csv
import json
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from PIL import Image
from shared import Ended, fingerprint, lines_of

import trainer
from trainer.cli.main import main

Command = Callable[..., Ended]
EXPORTS = pytest.mark.skipif(
    not all(map(find_spec, ("onnx", "onnxscript", "onnxruntime"))), reason="needs the extra [export]"
)
COLOURS = {"amber": (220, 160, 40), "blue": (40, 60, 220), "coral": (230, 90, 90)}
SEEN = ("data.size=[24,40]", "aug=strong", "aug.cutmix=1", "aug.erase=0.5", "aug.noise=0.1", "batch_size=8", "epochs=2")


@pytest.fixture(scope="session")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Class folders of pictures of any size, each told from those of other classes by its colour."""
    root = tmp_path_factory.mktemp("rectangles") / "photos"
    for name, colour in COLOURS.items():
        (root / name).mkdir(parents=True)
        for number in range(12):
            random = np.random.default_rng(number)
            noise = random.integers(-40, 40, (int(random.integers(30, 70)), int(random.integers(30, 90)), 3))
            pixels = (np.array(colour) + noise).clip(0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(root / name / f"{number}.png")
    return root


@pytest.fixture(scope="session")
def run(photos: Path) -> Path:
    """A run on them, prepared a little larger than they are seen, less their mean image."""
    words = (f"output={photos.parent}", "name=run", "preset=none", "report=true", "device=cpu", "precision=fp32")
    data = ("data=folder", f"data.root={photos}", "data.prepare=30", "data.cache=ram", "data.normalise=mean_image")
    model = ("model.widths=[4,8]", "aug=light", "optim.lr=0.02", "data.val=0.3", "batch_size=8", "epochs=3")
    assert main([*words, *data, *model, "data.size=[24,40]"]) == 0
    return photos.parent / "run"


@pytest.mark.slow
@pytest.mark.parametrize("model", [("model.depth=1",), ("model=xresnet18", "data.images=24")])
def test_a_run_on_rectangles_that_is_killed_goes_on_bit_identical(
    spawn: Command, tmp_path: Path, model: tuple[str, ...]
) -> None:
    tiny = ("data.images=48", "data.classes=3", "device=cpu", "precision=fp32", "report=false", "workers=0")
    words = (*tiny, *SEEN, *model)
    assert spawn(*words, "name=unbroken", tiny=False).code == 0
    assert spawn(*words, "name=killed", "save_every=2", fault="kill@step=4", tiny=False).code == -9
    ended = spawn(*words, "name=killed", "save_every=2", "resume=auto", tiny=False)
    assert ended.code == 0 and "24 x 40 px" in ended.out, ended.err
    outputs = tmp_path / "outputs"
    assert fingerprint(outputs / "killed") == fingerprint(outputs / "unbroken")
    assert yaml.safe_load((outputs / "killed" / "config.yaml").read_text())["data"]["size"] == [24, 40]


def test_a_resumed_run_is_held_to_its_size(train: Command, tmp_path: Path) -> None:
    assert train("data.size=[12,20]", "name=x").code == 0
    ended = train("data.size=[20,12]", "name=x", "epochs=3", "resume=auto")
    assert ended.code != 0 and "data.size: [12, 20] before, [20, 12] now" in ended.err


def test_several_sizes_make_several_runs(train: Command, tmp_path: Path) -> None:
    ended = train("-m", "data.size=12,[12,20]", "epochs=1", "name=sizes")
    assert ended.code == 0, ended.err
    stored = sorted((tmp_path / "outputs").rglob("config.yaml"))
    assert [yaml.safe_load(each.read_text())["data"]["size"] for each in stored] == [12, [12, 20]]


def test_evaluation_gives_what_training_measured_on_rectangles(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    best = max(lines_of(run / "metrics.jsonl", "epoch"), key=lambda line: float(line["val_accuracy"]))  # type: ignore[arg-type]
    for tta in ("none", "flip", "crops"):
        assert main(["evaluate", str(run), f"tta={tta}"]) == 0, capsys.readouterr().err
        if tta == "none":
            scores = json.loads((run / "evaluation" / "val" / "evaluation.json").read_text())
            assert scores["loss"] == best["val_loss"] and scores["accuracy"] == best["val_accuracy"]


def test_the_page_shows_rectangles_as_rectangles(run: Path) -> None:
    from base64 import b64decode
    from io import BytesIO

    stored = json.loads((run / "pictures.json").read_text())
    drawn = [picture for sample in stored["samples"] for picture, _ in sample["cells"]]
    sides = {Image.open(BytesIO(b64decode(each.partition(",")[2]))).size for each in drawn}
    assert sides == {(40, 24)}  # width and height


def test_predict_sees_the_middle_of_a_picture_in_the_proportions_of_the_run(run: Path, tmp_path: Path) -> None:
    inner, beside, above = (
        np.full((*sides, 3), COLOURS[name], np.uint8)
        for sides, name in (((60, 100), "coral"), ((60, 50), "blue"), ((30, 100), "blue"))
    )
    pictures = [inner, np.hstack([beside, inner, beside]), np.vstack([above, inner, above]), np.hstack([beside, inner])]
    for number, pixels in enumerate(pictures):
        Image.fromarray(pixels).save(tmp_path / f"{number}.png")
    table = tmp_path / "answers.csv"
    words = (*map(str, sorted(tmp_path.glob("*.png"))), f"output={table}", "engine=torch", "device=cpu")
    assert main(["predict", str(run), *words]) == 0
    alone, *others = (float(row["probability"]) for row in csv.DictReader(table.read_text().splitlines()))
    wide, high, off_centre = (abs(other - alone) for other in others)
    assert max(wide, high) < 5e-3 < 0.01 < off_centre  # at the edge the filter reaches beyond


@pytest.mark.slow
@EXPORTS
@pytest.mark.parametrize("inside", ["inside", "outside"])
def test_an_onnx_file_answers_for_rectangles_as_the_run_does(
    run: Path, photos: Path, tmp_path: Path, inside: str, capsys: pytest.CaptureFixture[str]
) -> None:
    import onnxruntime  # type: ignore[import-untyped]

    assert main(["export", str(run), "format=onnx", f"preprocess={inside}", f"output={tmp_path / 'x.onnx'}"]) == 0
    assert "Same answers as torch on" in capsys.readouterr().out
    session = onnxruntime.InferenceSession((tmp_path / "x.onnx").read_bytes(), providers=["CPUExecutionProvider"])
    shape = ["batch", "height", "width", 3] if inside == "inside" else ["batch", 3, 24, 40]
    assert session.get_inputs()[0].shape == shape
    told = json.loads((tmp_path / "x.json").read_text())["preprocessing"]
    assert (told["size"], told["prepared_size"]) == ([24, 40], [30, 50])
    path = next((photos / "blue").iterdir())
    classify = trainer.load(run, device="cpu")
    image = np.asarray(Image.open(path))[None]
    if inside == "outside":
        prepared = classify.preprocessing.prepared(path)[None]
        image = classify.preprocessing.transform(device=torch.device("cpu"))(prepared).numpy()
    answer = session.run(None, {"images": image})[0][0]
    assert answer == pytest.approx(list(classify(path)[0].probabilities.values()), abs=5e-3)


def test_a_published_folder_answers_as_its_run_and_says_which_side_is_which(
    run: Path, photos: Path, tmp_path: Path
) -> None:
    assert main(["export", str(run), "format=safetensors", f"output={tmp_path / 'hub'}"]) == 0
    pictures = [next((photos / name).iterdir()) for name in COLOURS]
    ours, theirs = (trainer.load(place, device="cpu")(pictures) for place in (run, tmp_path / "hub"))
    assert [each.probabilities for each in ours] == [each.probabilities for each in theirs]
    card = (tmp_path / "hub" / "README.md").read_text()
    assert "at 24 x 40 pixels (height x width)" in card
    assert "the largest central part in its proportions of a picture" in card


@pytest.mark.parametrize("said", ["0", "-3", "[48]", "[48,80,3]", "[0,80]", "[48,-1]", "48x80", "[a,b]", "4.5"])
def test_a_size_that_is_none_is_told_in_one_line(train: Command, said: str) -> None:
    for option in ("size", "prepare"):
        ended = train("data=folder", "data.root=there", f"data.{option}={said}", tiny=False)
        assert ended.code == 2 and len(ended.err.splitlines()) == 1
        assert ended.err.startswith(f"data.{option}: ")
        wanted = "a whole number from 1 up such as 128, or [height,width], each from 1 up, such as [48,80] or null"
        assert f"is not {wanted}" in ended.err


def test_a_size_of_two_numbers_without_brackets_is_told_with_them(train: Command) -> None:
    ended = train("data=folder", "data.root=there", "data.size=48,80", tiny=False)
    assert ended.code == 2 and len(ended.err.splitlines()) == 1
    assert "several values make several runs, which wants -m. A list is written data.size=[48,80]; for a" in ended.err


@pytest.mark.parametrize(
    ("said", "told"),
    [
        (("data.size=[48,80]", "data.prepare=40"), "40 pixels are fewer than data.size=[48,80]. Give 48 at least"),
        (
            ("data.size=[48,80]", "data.prepare=[60,70]"),
            "[60,70] pixels are fewer than data.size=[48,80]. Give [48,80] at",
        ),
        (("data.size=64", "data.prepare=60"), "60 pixels are fewer than data.size=64. Give 64 at least"),
        (("data.size=[48,80]", "data.prepare=[96,96]"), "[96,96] has other proportions than data.size=[48,80]"),
        (("data.prepare=[60,100]",), "[60,100] has other proportions than the square of data.size=null"),
    ],
)
def test_what_is_kept_must_have_the_proportions_of_what_is_seen(
    train: Command, said: tuple[str, ...], told: str
) -> None:
    ended = train("data=folder", "data.root=there", *said, tiny=False)
    assert ended.code == 2 and len(ended.err.splitlines()) == 1 and f"data.prepare: {told}" in ended.err


@pytest.mark.slow
@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("model=small_cnn", "model.widths=[4,4,4,4,4,4]"), "images of 24x40 pixels vanish after 5 halvings"),
        (("model=mlp", "model.image_size=30"), "it is built for 30 pixels, and the images have 24x40"),
        (("model=waste_sorter", "model.image_size=45"), "built for 45 pixels, and the images have 24x40"),
        (("model=backbone", "model.arch=vit_b_32"), "it cannot take images of 24x40 pixels"),
    ],
)
def test_a_model_that_wants_another_size_says_so_in_one_line(train: Command, words: tuple[str, ...], told: str) -> None:
    ended = train(*words, "data.size=[24,40]", "data.images=20", tiny=False)
    assert ended.code == 2 and told in ended.err and len(ended.err.splitlines()) == 1
