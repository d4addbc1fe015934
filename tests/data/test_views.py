"""What a picture is prepared by, said in full: figures and a share that are given, from training to the answer."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from shared import TINY, Ended, write_idx

import trainer
from trainer.cli.main import main
from trainer.data.folder import folder

Train = Callable[..., Ended]
COLOURS = {"amber": (220, 160, 40), "blue": (40, 60, 220)}
FIGURES = ("data.mean=[0.4,0.5,0.6]", "data.std=[0.2,0.3,0.25]")


def picture(colour: tuple[int, int, int], seed: int, border: int = 0) -> Image.Image:
    """24 x 28 of noise about a colour, with a border of another shade around its central 12 x 12."""
    pixels = np.array(colour) + np.random.default_rng(seed).integers(-30, 30, (24, 28, 3))
    inside = np.zeros((24, 28, 1), dtype=bool)
    inside[6:18, 8:20] = True
    return Image.fromarray(np.where(inside, pixels, border).clip(0, 255).astype(np.uint8))


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that sees the central half of each side, by given figures."""
    folder = tmp_path_factory.mktemp("views")
    for name, colour in COLOURS.items():
        (folder / "photos" / name).mkdir(parents=True)
        for number in range(12):
            picture(colour, number).save(folder / "photos" / name / f"{number}.png")
    data = ("data=folder", f"data.root={folder / 'photos'}", "data.size=12", "data.val=0.25", "data.crop_share=0.5")
    assert main([f"output={folder}", "name=run", *TINY[3:], *data, *FIGURES]) == 0
    return folder / "run"


def preprocessing_of(folder: Path) -> dict[str, object]:
    found: dict[str, object] = json.loads((folder / "run.json").read_text())["preprocessing"]
    return found


def test_a_run_says_and_records_what_acted(run: Path) -> None:
    said = (run / "train.log").read_text()
    assert "(short side, then the central square, of that the central 0.5 of each side)" in said
    assert "normalise given: mean 0.400 0.500 0.600, std 0.200 0.300 0.250" in said
    recorded = preprocessing_of(run)
    assert (recorded["normalise"], recorded["crop_share"]) == ("given", 0.5)
    assert (recorded["mean"], recorded["std"]) == ([0.4, 0.5, 0.6], [0.2, 0.3, 0.25])


def test_where_nothing_is_said_figures_are_measured_and_all_of_the_square_is_seen(train: Train, tmp_path: Path) -> None:
    assert train("name=x", "epochs=1").code == 0
    recorded = preprocessing_of(tmp_path / "outputs" / "x")
    assert (recorded["normalise"], recorded["crop_share"]) == ("mean_std", 1)


def test_an_answer_depends_on_the_share_alone(run: Path) -> None:
    classify = trainer.load(run, device="cpu")
    amber, blue = COLOURS.values()
    dark, light, other = (picture(*each) for each in ((amber, 5), (amber, 5, 255), (blue, 5)))
    answers = classify([dark, light, other])
    assert answers[0].probabilities == answers[1].probabilities != answers[2].probabilities
    prepared = classify.preprocessing.prepared(dark).permute(1, 2, 0).numpy()
    assert np.array_equal(prepared, np.asarray(dark)[6:18, 8:20])


def test_another_share_is_kept_in_another_store(run: Path) -> None:
    versions = [folder(root=str(run.parent / "photos"), crop_share=share).train.version() for share in (None, 1, 0.5)]
    assert versions[0] == versions[1] != versions[2]


@pytest.mark.parametrize("place", ["", "other"])
def test_evaluate_prepares_pictures_as_training_did(run: Path, tmp_path: Path, place: str) -> None:
    """The run's own, whose loss is that of its training to the last digit, and others."""
    if place:
        shutil.copytree(run.parent / "photos", tmp_path / place)
    words = [f"data.root={tmp_path / place}"] if place else []
    assert main(["evaluate", str(run), f"output={tmp_path / 'scores'}", *words]) == 0
    found = json.loads((tmp_path / "scores" / "evaluation.json").read_text())
    best = json.loads((run / "summary.json").read_text())["best"]
    assert (found["images"], found["loss"]) == ((24, found["loss"]) if place else (6, best["val_loss"]))


REFUSED = {
    ("data.mean=[0.5,0.5,0.5]",): "data.mean: it acts only together with data.std. Give both, or neither.",
    ("data.std=[0.5,0.5,0.5]",): "data.std: it acts only together with data.mean. Give both, or neither.",
    ("data.mean=[0.5,0.5,0.5]", "data.std=[0.5]"): "data.std: a list of 1, where data.mean is one of 3.",
    ("data.mean=[0.5]", "data.std=[0.5]"): "data.mean: a list of 1, where images in colour have 3 channels.",
    ("data.mean=[]", "data.std=[]"): "data.mean: a list of 0, where images in colour have 3 channels.",
    ("data.grey=true", *FIGURES): "data.mean: a list of 3, where grey images have one channel.",
    ("data.normalise=imagenet", *FIGURES): "data.normalise: imagenet cannot act with data.mean and data.std",
    ("data.mean=[124,116,104]", "data.std=[1,1,1]"): "data.mean: [124, 116, 104] is not a list, each a level from 0",
    ("data.mean=[0,0,0]", "data.std=[1,0,1]"): "data.std: [1, 0, 1] is not a list, each a number above 0, up to 1",
    ("data.crop_share=0",): "data.crop_share: 0 is not a number above 0, up to 1 or null.",
    ("data.crop_share=1.5",): "data.crop_share: 1.5 is not a number above 0, up to 1 or null.",
    ("data.crop_share=0.9", "data.fit=pad"): "data.crop_share: 0.9 cannot act with data.fit=pad, which shows all of a",
}  # fmt: skip


@pytest.mark.parametrize("words", REFUSED)
def test_what_cannot_be_meant_is_one_line_before_the_data_are_read(train: Train, words: tuple[str, ...]) -> None:
    ended = train("data=folder", "data.root=nowhere", *words, tiny=False)
    assert ended.code == 2 and ended.err.startswith(REFUSED[words]) and ended.err.count("\n") == 1


def test_figures_for_other_channels_than_a_set_has_are_refused_once_it_is_read(train: Train, tmp_path: Path) -> None:
    write_idx(tmp_path / "idx")
    ended = train("data=fashion_mnist", f"data.root={tmp_path / 'idx'}", *FIGURES, tiny=False)
    assert ended.code == 2 and ended.err == (
        "data.mean: a list of 3, where grey images have one channel. "
        "Give one number a channel, data.mean=[0.5], and so data.std.\n"
    )
