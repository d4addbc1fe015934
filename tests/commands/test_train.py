"""A run through the command line: what it leaves behind, what it says, what it refuses."""

import json
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch
import yaml
from PIL import Image
from shared import TINY, Ended, lines_of

from trainer.config import ROOMS, check
from trainer.registry import entries

Train = Callable[..., Ended]


def test_a_run_leaves_its_records_and_says_what_came_out(train: Train, tmp_path: Path) -> None:
    ended = train("name=x", "ema=0.5")
    folder = tmp_path / "outputs" / "x"
    assert ended.code == 0, ended.err
    assert sorted(path.name for path in folder.iterdir()) == [
        "checkpoints",
        "config.yaml",
        "curves.png",
        "metrics.jsonl",
        "run.json",
        "run.lock",
        "summary.json",
        "train.log",
    ]
    epochs = lines_of(folder / "metrics.jsonl", "epoch")
    steps = lines_of(folder / "metrics.jsonl", "step")
    summary = json.loads((folder / "summary.json").read_text())
    about = json.loads((folder / "run.json").read_text())
    assert [line["epoch"] for line in epochs] == [1, 2]
    assert [line["step"] for line in steps] == [1, 2, 4, 6, 8, 10, 12]
    assert summary["status"] == "finished" and summary["steps"] == 12
    assert summary["best"]["val_accuracy"] == max(line["val_accuracy"] for line in epochs)
    assert 0 <= summary["test"]["accuracy"] <= 1
    assert len(about["classes"]) == 3 and len(about["preprocessing"]["mean"]) == 3
    best = torch.load(folder / "checkpoints" / "best.pt", weights_only=True)
    assert best["epoch"] == summary["best"]["epoch"]
    with Image.open(folder / "curves.png") as picture:
        assert picture.width > 600
    printed = ended.out.splitlines()
    assert [line.split()[1] for line in printed if line.startswith("epoch ")] == ["1/2", "2/2"]
    assert f"python -m trainer resume={folder}" in printed[-2]
    assert printed[-1] == f"to name pictures with it, python -m trainer predict {folder} PICTURES"
    assert (folder / "train.log").read_text().splitlines() == printed


def test_the_stored_config_is_whole_and_runs_again_as_it_stands(train: Train, tmp_path: Path) -> None:
    train("name=x", "seed=3", "optim.lr=0.002")
    folder = tmp_path / "outputs" / "x"
    config = check(yaml.safe_load((folder / "config.yaml").read_text()))
    assert config.settings.seed == 3 and config.parts["optim"].options["lr"] == 0.002
    assert train("--config-path", str(folder), "name=again", tiny=False).code == 0
    again = tmp_path / "outputs" / "again"
    assert lines_of(again / "metrics.jsonl", "step", "epoch") == lines_of(folder / "metrics.jsonl", "step", "epoch")


def test_the_seed_decides_the_run(train: Train, tmp_path: Path) -> None:
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        assert train(f"name={name}", f"seed={seed}", "epochs=1").code == 0
    a, b, c = (lines_of(tmp_path / "outputs" / name / "metrics.jsonl", "step", "epoch") for name in "abc")
    assert a == b != c


@pytest.mark.slow
@pytest.mark.parametrize("room", ROOMS)
def test_every_part_trains_with_its_defaults_or_says_what_it_needs(train: Train, tmp_path: Path, room: str) -> None:
    small_checkpoints = ["optim=sgd", "optim.momentum=0", "optim.nesterov=false"]
    others = {"data": ["data=glyphs"], "model": ["data.size=32", *small_checkpoints]}
    base = [word for word in TINY if not word.startswith(f"{room}.")]
    if room == "finetune":
        assert train(*TINY, "name=first", tiny=False).code == 0
    tuned = [f"model.weights={tmp_path / 'outputs' / 'first' / 'checkpoints' / 'best.pt'}", "epochs=3"]
    for name in entries(room):
        if name == "timm" and not find_spec("timm"):
            continue
        if name in ("xresnet34", "xresnet50", "xresnet101"):
            continue  # the same builder as xresnet18, and large
        needs = {
            "backbone": ["model.arch=squeezenet1_1"],
            "timm": ["model.arch=test_resnet"],
            "waste_sorter": ["model.image_size=48", "data.size=48"],
            "zfnet": ["model.hidden=32", "data.size=56"],
            "plateau": ["epochs=4"],
            "head_first": tuned,
            "gradual": tuned,
            "probe": [*tuned, f"data.cache_dir={tmp_path}"],
            "probe_first": [*tuned, f"data.cache_dir={tmp_path}"],
        }.get(name, [])
        words = [f"{room}={name}", *base, *others.get(room, []), "epochs=1", "data.images=32", *needs]
        if room == "data" and name != "glyphs":
            continue  # files are needed: tests/data reads them
        assert train(*words, tiny=False).code == 0, words


@pytest.mark.slow
@pytest.mark.parametrize(
    "words",
    [
        ("accumulate=2", "clip_norm=0.5"),
        ("precision=bf16",),
        ("precision=fp16", "ema=0.9"),
        ("channels_last=false", "data.grey=true"),
        ("monitor=val_loss", "early_stop=1", "epochs=3"),
        ("limit_train=40", "limit_val=5"),
        ("data.cache=none", "workers=1"),
        ("save_every=3",),
        ("data.val=test",),
    ],
)
def test_every_setting_that_steers_the_engine_runs(train: Train, words: tuple[str, ...]) -> None:
    ended = train(*words)
    assert ended.code == 0, ended.err


@pytest.mark.slow
@pytest.mark.parametrize(
    "words", [("batch_size=1", "accumulate=8"), ("batch_size=4", "accumulate=3"), ("batch_size=46",)]
)
def test_every_image_is_trained_on_in_every_epoch(train: Train, tmp_path: Path, words: tuple[str, ...]) -> None:
    assert train("name=x", "limit_train=47", *words).code == 0
    lines = [json.loads(line) for line in (tmp_path / "outputs" / "x" / "metrics.jsonl").read_text().splitlines()]
    epochs = [line for line in lines if line["kind"] == "epoch"]
    assert [line["images_per_second"] * line["train_seconds"] for line in epochs] == [pytest.approx(47)] * 2


@pytest.mark.slow
def test_that_only_a_part_of_the_images_is_used_is_said(train: Train) -> None:
    said = "limit_train=40, limit_val=5, limit_test=6: only so many of these images are used"
    assert said in train("limit_train=40", "limit_val=5", "limit_test=6").out
    assert "only so many" not in train().out


@pytest.mark.slow
def test_validating_on_the_test_part_is_said(train: Train, tmp_path: Path) -> None:
    ended = train("name=x", "data.val=test")
    summary = json.loads((tmp_path / "outputs" / "x" / "summary.json").read_text())
    assert summary["validated_on"] == "test" and summary["test"] is None
    assert "there is no independent test result" in ended.out


def test_a_name_that_is_taken_is_refused_and_left_as_it_was(train: Train, finished: Path) -> None:
    before = (finished / "metrics.jsonl").read_bytes()
    ended = train("name=x")
    assert ended.code == 5
    assert "already holds a run. Go on with it by resume=auto, or choose another name." in ended.err
    assert (finished / "metrics.jsonl").read_bytes() == before


@pytest.mark.slow
def test_runs_without_a_name_never_share_a_folder(train: Train, tmp_path: Path) -> None:
    for _ in range(3):
        assert train("epochs=1", "limit_train=16").code == 0
    assert len(list((tmp_path / "outputs").glob("*/*/summary.json"))) == 3


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (("data=folder", "data.root=/no/such/folder"), 3, "/no/such/folder"),
        (("limit_train=100000",), 3, "limit_train=100000: there are only"),
        (("limit_val=100000",), 3, "limit_val=100000: there are only"),
        (("data.classes=90",), 2, "classes"),
        (("device=mps",), 2, "this machine has no mps"),
        (("batch_size=1", "model=xresnet18", "data.size=32"), 2, "batch_size: batches of one image are too small"),
        (("optim=sgd", "optim.momentum=0", "optim.nesterov=true"), 2, "nesterov"),
        (("model=backbone", "model.arch=resnt18"), 2, "resnet18"),
        (("model=backbone", "model.arch=resnet18", "model.weights=no.pt"), 4, "no.pt"),
    ],
)
def test_what_cannot_run_says_why_in_one_line_and_leaves_nothing(
    train: Train, tmp_path: Path, words: tuple[str, ...], code: int, message: str
) -> None:
    tiny = [
        word for word in TINY if not any(word.startswith(room.split("=")[0] + ".") for room in words if "." not in room)
    ]
    ended = train("name=x", *tiny, *words, tiny=False)
    assert ended.code == code, ended.err
    assert message in ended.err and len(ended.err.splitlines()) == 1
    assert not (tmp_path / "outputs" / "x").exists()


def test_an_output_folder_that_cannot_be_written_is_told_first(train: Train, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    ended = train("name=x", "data=folder", "data.root=/nowhere", f"output={tmp_path / 'file'}", tiny=False)
    assert ended.code == 5 and "file" in ended.err and len(ended.err.splitlines()) == 1


def test_a_rate_that_is_too_large_ends_with_what_to_try_and_the_last_good_checkpoint(
    train: Train, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "cliff.py").write_text(
        "from trainer.registry import SCHEDS\n"
        "@SCHEDS.register\n"
        "def cliff(total_steps):\n"
        '    """Nothing for eight steps, then far too much."""\n'
        "    return lambda step: 0.0 if step < 8 else 1e25\n"
    )
    (tmp_path / "sched").mkdir()
    (tmp_path / "sched" / "cliff.yaml").write_text("name: cliff\n")
    monkeypatch.syspath_prepend(tmp_path)
    words = ("--config-dir", str(tmp_path), "plugins=[cliff]", "sched=cliff", "optim=sgd", "optim.lr=1")
    ended = train("name=x", *words, "epochs=4")
    assert ended.code == 6
    assert "finite from step 10 on (loss nan, learning rate 1e+25)" in ended.err
    assert "a tenth of the rate" in ended.err and "Traceback" not in ended.err
    folder = tmp_path / "outputs" / "x"
    last = torch.load(folder / "checkpoints" / "last.pt", weights_only=True)
    assert last["step"] == 6
    assert all(tensor.isfinite().all() for tensor in last["model"].values())
    summary = json.loads((folder / "summary.json").read_text())
    assert (summary["status"], summary["exit_code"], summary["best"]["epoch"]) == ("failed", 6, 1)
