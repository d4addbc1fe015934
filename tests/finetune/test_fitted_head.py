"""The head fitted at once to the features of a frozen body: finetune=probe, and as a start, finetune=probe_first."""

import json
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from PIL import Image
from shared import DAMAGES, TINY, Ended, fingerprint, flip_a_bit, lines_of
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler
from torch import Tensor, nn
from torchvision.models import resnet18

from trainer.build import features
from trainer.build.features import last_layer
from trainer.build.training import Job, build
from trainer.cli.compose import Origin, compose
from trainer.cli.main import main
from trainer.config import check, conf_folder
from trainer.engine import rate_search
from trainer.engine.interrupt import Interrupt
from trainer.errors import ConfigError
from trainer.feed.features import path_of, read_features, write_features
from trainer.preset.settle import settle

Train = Callable[..., Ended]


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The word for the weights of a run that knows five classes."""
    outputs = tmp_path_factory.mktemp("trained")
    words = [f"output={outputs}", *TINY, "kernels=torch", "name=x", "epochs=1", "data.classes=5", "data.images=100"]
    assert main(words) == 0
    return f"model.weights={outputs / 'x' / 'checkpoints' / 'best.pt'}"


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where this test keeps features."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "trainer" / "features"


@pytest.fixture
def words(weights: str, cache: Path) -> tuple[str, ...]:
    return weights, "kernels=torch", "data.classes=3"


def saved(tmp_path: Path, name: str) -> dict[str, Any]:
    loaded: dict[str, Any] = torch.load(tmp_path / "outputs" / name / "checkpoints" / "best.pt", weights_only=True)
    return loaded


def job_of(*words: str, tiny: Sequence[str] = TINY) -> Job:
    settled = settle(compose([*tiny, *words], Origin(conf_folder())), lambda *_: None)
    return build(settled.config, lambda *_: None)


def features_by_hand(job: Job, images: Tensor) -> Tensor:
    """What the last layer is given, by the layers before it one after the other."""
    with torch.no_grad():
        x = images
        for stage in [*list(job.state.model.eval().children())[:-1], *list(job.state.model.head)[:-1]]:
            x = stage(x)
    return x


@pytest.mark.slow
def test_a_probe_is_the_logistic_regression_of_what_the_body_makes_of_the_images(
    train: Train, tmp_path: Path, words: tuple[str, ...]
) -> None:
    assert train(*words, "finetune=probe", "name=x").code == 0
    job = job_of(*words)
    (event,) = lines_of(tmp_path / "outputs" / "x" / "metrics.jsonl", "event")
    seen, labels = (torch.cat(each) for each in zip(*plain(job), strict=True))
    assert event["images"] == len(labels) == 87
    rows = StandardScaler().fit_transform(seen.double())
    theirs = LogisticRegression(C=1 / (2 * float(str(event["l2"])) * 87), tol=1e-8, max_iter=9999).fit(rows, labels)
    weight, bias = (saved(tmp_path, "x")["model"][f"head.3.{name}"].double() for name in ("weight", "bias"))
    assert np.allclose((seen.double() @ weight.T + bias).softmax(1), theirs.predict_proba(rows), atol=1e-4)


def plain(job: Job) -> Iterator[tuple[Tensor, Tensor]]:
    """Features and labels of the training images as they are."""
    store, transform = job.batches.store, job.val_batches.transform
    for images in store.gather([torch.arange(len(store))]):
        yield features_by_hand(job, transform(images)), store.labels


@pytest.mark.slow
def test_a_probe_leaves_the_body_as_it_is_and_is_a_run_of_one_epoch(
    train: Train, tmp_path: Path, words: tuple[str, ...], weights: str
) -> None:
    ended = train(*words, "finetune=probe", "name=x", "epochs=9", "early_stop=3", "sched=plateau", "ema=0.9")
    assert ended.code == 0, ended.err
    assert (
        "finetune: the last layer is fitted at once to all training images as they are, on a frozen body" in ended.out
    )
    assert "epochs, early_stop, optim, sched, ema, accumulate and aug do not act then" in ended.out
    assert "probe: the last layer fitted to 8 features of 87 images (worked out in " in ended.out
    assert "epoch 1/1  train loss" in ended.out and "  lr " not in ended.out
    assert "best val_accuracy" in ended.out and "in epoch 1 of 1" in ended.out
    assert "best.pt finetune=none" in ended.out and "optimizer step" not in ended.out
    before = torch.load(weights.removeprefix("model.weights="), weights_only=True)["model"]
    after = saved(tmp_path, "x")["model"]
    assert {name for name in before if not torch.equal(before[name], after[name])} == {"head.3.weight", "head.3.bias"}
    summary = json.loads((tmp_path / "outputs" / "x" / "summary.json").read_text())
    assert (summary["status"], summary["epochs"], summary["epochs_planned"], summary["steps"]) == ("finished", 1, 1, 1)
    again = train("name=x", "resume=auto", *words, "finetune=probe", "ema=0.9", "sched=plateau")
    assert again.code == 0 and "is finished: to train the body too, say its words again with" in again.out


def test_the_config_of_a_probe_is_what_it_stores(words: tuple[str, ...]) -> None:
    config = compose([*TINY, *words, "finetune=probe", "epochs=9", "early_stop=3"], Origin(conf_folder()))
    assert (config.settings.epochs, config.settings.early_stop) == (1, None)
    assert check(yaml.safe_load(yaml.safe_dump(config.plain()))) == config


@pytest.mark.slow
def test_a_probe_is_evaluated_and_predicts_as_any_run(
    train: Train, tmp_path: Path, words: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    assert train(*words, "finetune=probe", "name=x", "report=true").code == 0
    folder = tmp_path / "outputs" / "x"
    assert "Go on training" not in (folder / "report.html").read_text()
    assert main(["evaluate", str(folder), "split=val"]) == 0
    scores = json.loads((folder / "evaluation" / "val" / "evaluation.json").read_text())
    summary = json.loads((folder / "summary.json").read_text())
    assert scores["accuracy"] == pytest.approx(summary["best"]["val_accuracy"])
    Image.effect_noise((20, 20), 40).convert("RGB").save(tmp_path / "a.png")
    capsys.readouterr()
    assert main(["predict", str(folder), str(tmp_path / "a.png"), "format=csv"]) == 0
    assert "a.png," in capsys.readouterr().out


@pytest.mark.slow
def test_a_probe_that_is_stopped_goes_on_and_ends_with_the_same_bits(
    spawn: Train, tmp_path: Path, words: tuple[str, ...]
) -> None:
    how, outputs = (*words, "finetune=probe", "finetune.views=1", "save_every=1"), tmp_path / "outputs"
    for number, fault in enumerate(("term@features=0", "kill@step=1", "term@validation=1")):
        assert spawn(*how, f"name={number}", fault=fault).code in (143, -9)
        ended = spawn(*how, f"name={number}", "resume=auto")
        assert ended.code == 0, ended.err
    assert main(["cache", "clear"]) == 0
    assert spawn(*how, "name=unbroken").code == 0
    assert all(fingerprint(outputs / name) == fingerprint(outputs / "unbroken") for name in "012")


@pytest.mark.slow
def test_a_run_that_begins_with_a_probe_is_bit_identical_wherever_it_is_stopped(
    spawn: Train, tmp_path: Path, words: tuple[str, ...]
) -> None:
    how, outputs = (*words, "finetune=probe_first", "ema=0.9", "save_every=2"), tmp_path / "outputs"
    for number, fault in enumerate(("kill@features=0", "term@features=0", "kill@step=9")):
        assert spawn(*how, f"name={number}", fault=fault).code in (143, -9)
        ended = spawn(*how, f"name={number}", "resume=auto")
        assert ended.code == 0, ended.err
        assert ("probe: " in ended.out) == ("features" in fault)  # a head that was fitted is not fitted again
    assert spawn(*how, "name=unbroken").code == 0
    assert all(fingerprint(outputs / name) == fingerprint(outputs / "unbroken") for name in "012")


@pytest.mark.slow
def test_after_the_probe_everything_learns_from_the_fitted_head_on(
    train: Train, tmp_path: Path, words: tuple[str, ...]
) -> None:
    assert train(*words, "finetune=probe", "name=probe").code == 0
    ended = train(*words, "finetune=probe_first", "name=x", "optim.lr=1e-7", "epochs=1", "aug=none")
    assert ended.code == 0 and "then everything learns" in ended.out and "kept from before" in ended.out
    fitted, after = (saved(tmp_path, name)["model"] for name in ("probe", "x"))
    weights = [name for name in fitted if fitted[name].is_floating_point() and "running" not in name]
    assert all(torch.allclose(fitted[name], after[name], atol=1e-5) for name in weights)
    assert sum(not torch.equal(fitted[name], after[name]) for name in weights) > 2


@pytest.mark.slow
def test_with_features_kept_no_training_image_is_looked_at_and_the_bits_are_the_same(
    train: Train, tmp_path: Path, cache: Path, words: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert train(*words, "finetune=probe", "name=first").code == 0
    (kept,) = cache.iterdir()
    assert read_features(kept).shape == (87, 8)
    monkeypatch.setattr(features, "features_of", None)
    ended = train(*words, "finetune=probe", "name=second")
    assert ended.code == 0 and "87 images (kept from before)" in ended.out
    assert fingerprint(tmp_path / "outputs" / "first") == fingerprint(tmp_path / "outputs" / "second")


@pytest.mark.slow
def test_damaged_features_are_worked_out_anew(
    train: Train, tmp_path: Path, cache: Path, words: tuple[str, ...]
) -> None:
    assert train(*words, "finetune=probe", "name=first").code == 0
    (kept,) = cache.iterdir()
    flip_a_bit(kept)
    ended = train(*words, "finetune=probe", "name=second")
    assert ended.code == 0 and "worked out in" in ended.out and read_features(kept) is not None
    assert fingerprint(tmp_path / "outputs" / "first") == fingerprint(tmp_path / "outputs" / "second")


def origin_of(*words: str, part: str = "probe", tiny: Sequence[str] = TINY) -> str:
    """Where a run of these words has its features from."""
    job = job_of(*words, f"finetune={part}", tiny=tiny)
    assert job.recipe.probe is not None
    return job.recipe.probe.features(job.state.model, Interrupt()).origin


@pytest.mark.slow
@pytest.mark.parametrize("word", ["data.normalise=mean", "precision=bf16", "batch_size=8", "limit_train=60"])
def test_what_may_change_a_feature_in_any_bit_gives_features_another_name(words: tuple[str, ...], word: str) -> None:
    assert "worked out" in origin_of(*words)
    assert "kept from before" in origin_of(*words, "seed=5", "optim=sgd", "aug=none", "loss.smoothing=0.1")
    assert "worked out" in origin_of(*words, word)


def test_other_weights_of_the_body_give_features_another_name(tmp_path: Path, words: tuple[str, ...]) -> None:
    assert "worked out" in origin_of(*words)
    best = torch.load(words[0].removeprefix("model.weights="), weights_only=True)
    weights = best["model"]
    for name, origin in (("head.3.weight", "kept from before"), ("stem.0.weight", "worked out")):
        torch.save({**best, "model": {**weights, name: weights[name] * 1.001}}, tmp_path / "other.pt")
        assert origin in origin_of(f"model.weights={tmp_path / 'other.pt'}", *words[1:])


def test_another_release_of_a_library_gives_features_another_name(
    words: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "worked out" in origin_of(*words)
    monkeypatch.setattr(torch, "__version__", "0.1")
    assert "worked out" in origin_of(*words)


@pytest.mark.slow
def test_a_layer_that_no_fit_teaches_is_told_of(train: Train, cache: Path, tmp_path: Path) -> None:
    torch.save(resnet18(num_classes=2).state_dict(), tmp_path / "w.pt")
    model = ("model=backbone", "model.arch=resnet18", f"model.weights={tmp_path / 'w.pt'}", "model.hidden=8")
    ended = train(*model, "finetune=probe", "data.size=32", "data.classes=2", "data.images=20", tiny=False)
    assert "model.hidden=8: a probe fits the last layer alone; this one before it stays" in ended.out


@pytest.mark.slow
def test_other_views_give_features_other_names(words: tuple[str, ...]) -> None:
    views = (*words, "finetune.views=1")
    assert "worked out" in origin_of(*views) and "kept from before" in origin_of(*views, part="probe_first")
    assert all("worked out" in origin_of(*views, word) for word in ("seed=5", "aug.zoom=1.5"))


@pytest.mark.slow
def test_a_changed_picture_gives_features_another_name(tmp_path: Path, words: tuple[str, ...]) -> None:
    tiny = [word for word in TINY if not word.startswith(("data.images", "data.classes"))]
    how = [*words[:2], "data=folder", f"data.root={tmp_path / 'pictures'}"]
    for number in range(8):
        path = tmp_path / "pictures" / "ab"[number % 2] / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.effect_noise((20, 20), 40 + number).convert("RGB").save(path)
    assert "worked out" in origin_of(*how, tiny=tiny) and "kept from before" in origin_of(*how, tiny=tiny)
    Image.effect_noise((20, 20), 90).convert("RGB").save(tmp_path / "pictures" / "a" / "0.png")
    Image.effect_noise((20, 20), 91).convert("RGB").save(tmp_path / "pictures" / "a" / "2.png")
    assert "worked out" in origin_of(*how, tiny=tiny)


@pytest.mark.slow
@pytest.mark.parametrize("where", ["none", "ram"])
def test_where_images_are_not_kept_on_disk_features_are_not(
    train: Train, cache: Path, words: tuple[str, ...], where: str
) -> None:
    ended = train(*words, "finetune=probe", f"data.cache={where}")
    assert ended.code == 0 and "s); L2" in ended.out and not cache.exists()


@pytest.mark.slow
def test_features_that_cannot_be_kept_are_told_and_used(train: Train, cache: Path, words: tuple[str, ...]) -> None:
    cache.parent.mkdir(parents=True)
    cache.write_text("no folder")
    ended = train(*words, "finetune=probe")
    assert ended.code == 0 and f"but not kept ({cache}: File exists)" in ended.out


@pytest.mark.slow
def test_kept_features_are_listed_and_cleared(
    train: Train, cache: Path, words: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    assert train(*words, "finetune=probe").code == 0
    assert main(["cache"]) == 0
    assert (
        f"{cache}: features that frozen networks gave, 1 file, 0.0 MiB: cache clear deletes" in capsys.readouterr().out
    )
    assert main(["cache", "clear"]) == 0 and not list(cache.iterdir())


@pytest.mark.parametrize("damage", DAMAGES)
def test_features_are_read_as_they_were_written_or_not_at_all(tmp_path: Path, damage: Callable[[Path], Any]) -> None:
    written, path = np.arange(6, dtype=np.float32).reshape(2, 3), path_of(tmp_path, ["a", 1])
    write_features(path, written)
    read = read_features(path)
    assert read is not None and np.array_equal(read, written) and path != path_of(tmp_path, ["a", 2])
    damage(path)
    assert read_features(path) is None


def test_views_are_the_images_as_the_first_epochs_of_training_would_see_them(words: tuple[str, ...]) -> None:
    job = job_of(*words, "finetune=probe_first", "finetune.views=2")
    given = job.recipe.probe.features(job.state.model, Interrupt()).views
    seen = [torch.cat([features for features, _ in plain(job)])]
    for epoch in range(2):
        by_index = torch.empty_like(seen[0])
        for batch in job.batches.epoch(epoch):
            by_index[batch.indices] = features_by_hand(job, batch.images)
        seen.append(by_index)
    assert torch.allclose(given, torch.stack(seen), atol=1e-5)
    assert not torch.allclose(given[1], given[2], atol=1e-3)


@pytest.mark.slow
def test_images_that_are_mixed_are_no_views(train: Train, words: tuple[str, ...]) -> None:
    mixed = (*words, "aug=strong", "aug.mixup=0.2")
    ended = train(*mixed, "finetune=probe", "finetune.views=2")
    assert ended.code == 2 and len(ended.err.splitlines()) == 1
    assert "finetune.views: an image that aug.mixup or aug.cutmix has mixed" in ended.err
    assert train(*mixed, "finetune=probe", "loss=focal").code == 0  # nothing is augmented there


@pytest.mark.parametrize(
    "end", [nn.ReLU(), nn.Conv2d(8, 2, 1), nn.Linear(8, 2, bias=False), nn.Sequential(nn.Linear(8, 2), nn.ReLU())]
)
def test_a_model_that_does_not_end_in_a_linear_layer_is_refused(end: nn.Module) -> None:
    start = nn.Conv2d(3, 8, 1) if isinstance(end, nn.Conv2d) else nn.Sequential(nn.Flatten(), nn.Linear(12, 8))
    with pytest.raises(ConfigError, match="this model ends otherwise"):
        last_layer(nn.Sequential(start, end), torch.ones(1, 3, 2, 2))
    assert last_layer(nn.Sequential(nn.Flatten(), nn.Linear(12, 2)), torch.ones(1, 3, 2, 2)) == "1"


def test_too_few_images_to_hold_some_out_are_told(train: Train, words: tuple[str, ...]) -> None:
    ended = train(*words, "finetune=probe", "limit_train=3")
    assert ended.code == 3 and len(ended.err.splitlines()) == 1 and "no class has two" in ended.err


def test_features_that_are_no_numbers_end_the_run_in_words(
    train: Train, tmp_path: Path, words: tuple[str, ...]
) -> None:
    loaded = torch.load(words[0].removeprefix("model.weights="), weights_only=True)["model"]
    loaded["stage1.0.weight" if "stage1.0.weight" in loaded else "stem.0.weight"] *= 1e38
    torch.save(loaded, tmp_path / "large.pt")
    ended = train(*words[1:], f"model.weights={tmp_path / 'large.pt'}", "finetune=probe")
    assert ended.code == 6 and "What the body makes of the images are no finite numbers" in ended.err


@pytest.mark.slow
def test_a_rate_is_not_searched_for_a_probe_and_is_searched_from_the_head_that_it_starts(
    tmp_path: Path, words: tuple[str, ...], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    outputs = f"output={tmp_path / 'outputs'}"
    assert main(["find_lr", outputs, *TINY, *words, "finetune=probe"]) == 2
    assert capsys.readouterr().err.startswith("find_lr: finetune=probe takes no steps")
    monkeypatch.setattr(rate_search, "_FEWEST_STEPS", 1)
    main(["find_lr", outputs, *TINY, *words, "finetune=probe_first"])
    told = re.search(r"^validation loss .*; (\S+) before any step:$", capsys.readouterr().out, re.MULTILINE)
    assert told is not None and float(told[1]) < 1.09  # a head at zero has ln(3) = 1.099


@pytest.mark.parametrize(
    ("verb", "part"), [("preview", "probe_first"), ("inspect", "probe_first"), ("summary", "probe")]
)
def test_a_look_before_the_run_is_as_without_a_probe(
    tmp_path: Path, words: tuple[str, ...], cache: Path, verb: str, part: str
) -> None:
    assert main([verb, f"output={tmp_path / 'outputs'}", *TINY, *words, f"finetune={part}"]) == 0
    assert not cache.exists()


@pytest.mark.parametrize("part", ["probe", "probe_first"])
def test_a_probe_of_a_body_that_has_learnt_nothing_is_refused(train: Train, part: str) -> None:
    ended = train(f"finetune={part}")
    assert ended.code == 2 and f"finetune: '{part}' would freeze a body that has learnt nothing" in ended.err
