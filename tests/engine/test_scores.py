"""What validation measures, and what is best by it: the same for every loss, compared with what is the same alone."""

import csv
import json
import math
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from shared import TINY, Crash, Ended, lines_of
from small_loop import CPU, Fixed, Pair, batches, begin, net, recipe, run
from torch import nn

from trainer.engine import loop
from trainer.engine.evaluate import evaluate
from trainer.engine.metrics import Evaluation
from trainer.engine.precision import Precision
from trainer.records.folder import RunFolder, write_json
from trainer.registry import LOSSES, entries
from trainer.sweep.table import print_table
from trainer.system import fault

Train = Callable[..., Ended]

OLD_RUN = Path(__file__).parents[1] / "golden" / "format1"
STILL = ("optim.lr=1e-30", "sched=constant")
"""The weights stay as they were drawn."""


def summary_of(folder: Path) -> dict[str, Any]:
    summary: dict[str, Any] = json.loads((folder / "summary.json").read_text())
    return summary


def last_of(folder: Path, name: str = "last.pt") -> dict[str, Any]:
    saved: dict[str, Any] = torch.load(folder / "checkpoints" / name, weights_only=True)
    return saved


@pytest.fixture
def outputs(tmp_path: Path) -> Path:
    return tmp_path / "outputs"


# What is measured


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_val_loss_is_the_mean_surprise_of_the_labels_for_every_loss_and_however_the_images_are_batched(
    data: st.DataObject,
) -> None:
    name = data.draw(st.sampled_from(sorted(entries("loss"))))
    options = data.draw(st.sampled_from([{}, {"class_weights": {"b": 7.0}}]))
    if name in ("cross_entropy", "binary_cross_entropy"):
        options = {**options, "smoothing": data.draw(st.sampled_from([0.0, 0.3]))}
    count = data.draw(st.integers(1, 20))
    logits = torch.randn(count, 3, generator=torch.Generator().manual_seed(count)) * data.draw(st.floats(0.1, 40))
    labels = data.draw(st.lists(st.integers(-1, 2), min_size=count, max_size=count))
    ends = sorted({*data.draw(st.lists(st.integers(1, count), max_size=4)), count})
    criterion = LOSSES.builder(name)(torch.tensor([0, 1, 1, 2]), ("a", "b", "c"), **options)
    parts = [slice(begun, end) for begun, end in zip([0, *ends], ends, strict=False)]
    told = Fixed([Pair(logits[part], torch.tensor(labels)[part]) for part in parts])
    identity = nn.Linear(3, 3, bias=False)
    identity.weight.data.copy_(torch.eye(3))
    found = evaluate(identity, told, criterion, Precision("fp32", CPU))

    rows = [row for row, label in zip(logits.tolist(), labels, strict=True) if label >= 0]
    known = [label for label in labels if label >= 0]
    surprises = []
    for row, label in zip(rows, known, strict=True):
        highest = max(row)
        surprises.append(highest + math.log(sum(math.exp(each - highest) for each in row)) - row[label])
    right = [row.index(max(row)) == label for row, label in zip(rows, known, strict=True)]
    assert found.images == len(known)
    assert found.loss == pytest.approx(math.fsum(surprises) / len(known) if known else 0.0, rel=1e-12, abs=1e-12)
    assert found.score == (sum(right) / len(known) if known else 0.0)


@pytest.mark.slow
def test_losses_of_every_kind_tell_the_same_val_loss_of_the_same_weights(train: Train, outputs: Path) -> None:
    words = {
        "plain": (),
        "smoothed": ("loss.smoothing=0.3",),
        "weighted": ("loss.class_weights={0: 9}",),
        "scaled": ("loss.logit_weights={1: 3}",),
        **{name: (f"loss={name}",) for name in entries("loss") if name != "cross_entropy"},
    }
    lines = {}
    for name, loss in words.items():
        assert train(f"name={name}", "epochs=1", *STILL, *loss).code == 0
        (lines[name],) = lines_of(outputs / name / "metrics.jsonl", "epoch")
    assert len({line["val_loss"] for line in lines.values()}) == 1
    assert len({round(float(str(line["val_objective"])), 4) for line in lines.values()}) == len(lines)
    assert lines["plain"]["val_objective"] == pytest.approx(lines["plain"]["val_loss"], rel=1e-6)


@pytest.mark.slow
def test_a_sweep_over_losses_is_ranked_by_what_is_the_same_for_all(train: Train, outputs: Path) -> None:
    words = ("-m", "name=losses", "loss=cross_entropy,mse,focal", "monitor=val_loss", "epochs=1", "optim.lr=0.01")
    assert train(*words).code == 0
    with (outputs / "multirun" / "losses" / "results.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert {row["loss"] for row in rows} == {"cross_entropy", "mse", "focal"}
    losses, objectives = ([float(row[key]) for row in rows] for key in ("val_loss", "val_objective"))
    assert losses == sorted(losses)
    assert all(0.8 < loss < 1.4 for loss in losses), "of three classes: about log 3, whatever was trained"
    assert objectives != sorted(objectives), "which would rank them by the kind of loss"
    for row in rows:
        best = summary_of(outputs / "multirun" / "losses" / row["run"])["best"]
        assert [f"{best[key]:.4f}" for key in ("val_loss", "val_objective", "val_accuracy")] == [
            row[key] for key in ("val_loss", "val_objective", "val_accuracy")
        ]


@pytest.mark.slow
def test_the_training_loss_of_validation_is_shown_where_it_is_another(train: Train, outputs: Path) -> None:
    def epoch_lines(ended: Ended) -> list[str]:
        return [line for line in ended.out.splitlines() if line.startswith("epoch ")]

    assert not any("objective" in line for line in epoch_lines(train()))
    told = epoch_lines(train("name=x", "loss.smoothing=0.5", "keep_every=1"))
    epochs = lines_of(outputs / "x" / "metrics.jsonl", "epoch")
    for line, record in zip(told, epochs, strict=True):
        assert f"val loss {record['val_loss']:.4f} objective {record['val_objective']:.4f} accuracy" in line
    kept = {path.name.rpartition("_val")[2] for path in (outputs / "x" / "checkpoints").glob("epoch*.pt")}
    assert kept == {f"{record['val_loss']:.4f}.pt" for record in epochs}
    test = summary_of(outputs / "x")["test"]
    assert test["objective"] != pytest.approx(test["loss"], rel=1e-3)


@pytest.mark.slow
def test_the_picture_draws_losses_of_one_kind_together_and_plain_cross_entropy_beside_them(
    train: Train, outputs: Path
) -> None:
    def reds(name: str) -> int:
        with Image.open(outputs / name / "curves.png") as picture:
            pixels = np.asarray(picture.convert("RGB"), dtype=int)
        return int((abs(pixels - [0xD6, 0x27, 0x28]).sum(axis=2) < 9).sum())

    assert train("name=plain").code == 0 and train("name=focal", "loss=focal").code == 0
    assert reds("plain") == 0 < reds("focal")


# What is best


Scored = Sequence[tuple[int, int]]


@pytest.mark.parametrize("monitor", ["val_accuracy", "val_loss"])
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(scored=st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2)), min_size=1, max_size=6))
def test_equal_scores_are_told_apart_by_the_other_one_and_then_by_the_later_epoch(
    monitor: str, scored: Scored, monkeypatch: pytest.MonkeyPatch
) -> None:
    coming = iter(scored)
    with monkeypatch.context() as patch:
        patch.setattr(loop, "evaluate", lambda *_: Evaluation((pair := next(coming))[0], 0.5, pair[1] / 2, 8))
        state = begin(net())
        observer = run(state, batches(1), recipe(), epochs=len(scored), by_loss=monitor == "val_loss")
    ordered = [(right, -loss) if monitor == "val_accuracy" else (-loss, right) for loss, right in scored]
    best = max(range(len(ordered)), key=lambda epoch: (ordered[epoch], epoch))
    better = [epoch for epoch in range(len(ordered)) if all(ordered[epoch] > each for each in ordered[:epoch])]
    assert state.best_epoch == best + 1
    assert state.stale_epochs == len(scored) - 1 - better[-1], "a tie that the other score has broken is progress"
    bests = [epoch for epoch in range(len(ordered)) if all(ordered[epoch] >= each for each in ordered[:epoch])]
    assert [report.epoch - 1 for report in observer.reports if report.is_best] == bests


@pytest.fixture
def photos(tmp_path: Path) -> tuple[str, ...]:
    """The words for a set of two classes that are told apart at once: 40 training and 8 validation images."""
    for part, count in (("train", 20), ("val", 4)):
        for label in range(2):
            folder = tmp_path / "photos" / part / "ab"[label]
            folder.mkdir(parents=True)
            for number in range(count):
                Image.new("RGB", (12, 12), (number * 9, 200 * label, 40)).save(folder / f"{number}.png")
    return ("data=folder", f"data.root={tmp_path / 'photos'}", "data.size=12", "model.widths=[4,8]", "batch_size=8",
            "device=cpu", "precision=fp32", "name=x", "sched=constant", "preset=none")  # fmt: skip


@pytest.mark.slow
def test_of_epochs_that_get_all_of_a_small_validation_part_right_the_surest_is_best(
    train: Train, outputs: Path, photos: tuple[str, ...]
) -> None:
    ended = train(*photos, "epochs=12", "optim.lr=0.01", "early_stop=3", tiny=False)
    assert ended.code == 0, ended.err
    epochs = lines_of(outputs / "x" / "metrics.jsonl", "epoch")
    top = max(line["val_accuracy"] for line in epochs)  # type: ignore[type-var]
    tied = [line for line in epochs if line["val_accuracy"] == top]
    surest = min(tied, key=lambda line: float(str(line["val_loss"])))
    assert top == 1 and len(tied) > 6 and surest is not tied[0], "this run shows it"
    assert summary_of(outputs / "x")["best"]["epoch"] == last_of(outputs / "x", "best.pt")["epoch"] == surest["epoch"]


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("limit_val=8",), "only 8 labelled images, of which one is 12.5 % of the accuracy"),
        (("limit_val=1",), "only 1 labelled image, of which one is 100 % of the accuracy"),
        (
            ("limit_val=8", "task=multi"),
            "only 8 labelled images: small differences between epochs or runs say nothing.",
        ),
        (("data.images=1000", "limit_val=99"), "only 99 labelled images, of which one is 1.01 % of the accuracy"),
        (("data.images=1000", "limit_val=100"), None),
    ],
)
def test_a_validation_part_of_which_one_image_is_much_is_told(
    train: Train, words: tuple[str, ...], told: str | None
) -> None:
    said = [line for line in train(*words, "epochs=1").out.splitlines() if line.startswith("Validation has")]
    assert [told is not None and told in line for line in said] == [True] * (told is not None)


def test_runs_of_equal_accuracy_are_ranked_by_their_loss(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    scores = [(0.5, 0.9), (1.0, 0.3), (1.0, 0.1), (1.0, 0.2), (None, None)]
    for number, (accuracy, loss) in enumerate(scores):
        best = {"val_accuracy": accuracy, "val_loss": loss, "val_objective": loss, "epoch": 1}
        (tmp_path / str(number)).mkdir()
        write_json(
            tmp_path / str(number) / "summary.json", {"status": "finished", "best": best if loss is not None else None}
        )
    for monitor, order in (("val_accuracy", "23104"), ("val_loss", "23104")):
        print_table(tmp_path, monitor)
        with (tmp_path / "results.csv").open() as file:
            assert "".join(row["run"] for row in csv.DictReader(file)) == order
    assert "Scores compare within" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("said", "validated", "alike"),
    [
        (("limit_val=5", "limit_val=6"), "pq", False),
        (("seed=0", "seed=1"), "pp", True),
        (("data.fold=0", "data.fold=1"), "pq", True),
        (("data.fold=0", "data.fold=0"), "pq", False),
        (("seed=0", "seed=1"), ("p", None), True),  # of an earlier release
    ],
)
def test_a_table_of_runs_that_were_validated_on_other_images_says_so(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    said: tuple[str, str],
    validated: Sequence[str | None],
    alike: bool,
) -> None:
    for number, (word, mark) in enumerate(zip(said, validated, strict=True)):
        (tmp_path / str(number)).mkdir()
        of_run = {"status": "finished", "best": {"val_accuracy": 0.5}, "overrides": [word]}
        write_json(tmp_path / str(number) / "summary.json", of_run)
        write_json(tmp_path / str(number) / "run.json", {"validation_fingerprint": mark} if mark else {})
    print_table(tmp_path, "val_accuracy")
    assert ("differ in the images that they were validated on" in capsys.readouterr().out) is not alike


@pytest.mark.slow
def test_a_run_tells_what_it_was_validated_on(train: Train, outputs: Path) -> None:
    marks = {}
    for name, words in {"a": (), "seed": ("seed=1",), "limit": ("limit_val=5",), "share": ("data.val=0.2",)}.items():
        assert train(f"name={name}", "epochs=1", "limit_train=16", *words).code == 0
        marks[name] = json.loads((outputs / name / "run.json").read_text())["validation_fingerprint"]
        assert last_of(outputs / name)["validation_fingerprint"] == marks[name]
    assert marks["a"] == marks["seed"] and len(set(marks.values())) == 3


# What a run that goes on may compare


@pytest.fixture
def begun(train: Train, outputs: Path) -> Path:
    """A run of two epochs by val_loss."""
    assert (
        train("name=x", "monitor=val_loss", "sched=constant", "data.folds=3", "data.fold=0", "limit_val=20").code == 0
    )
    return outputs / "x"


@pytest.mark.slow
@pytest.mark.row(18)
@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (("limit_val=9", "resume_allow=[limit_val]"), "of other validation images."),
        (("data.fold=1", "resume_allow=[data]"), "of other validation images."),
        (("data.denoise=median", "resume_allow=[data]"), "of other validation images."),
        (("data.normalise=imagenet", "resume_allow=[data]"), "of validation images that were prepared otherwise."),
    ],
)
def test_where_other_images_are_validated_on_what_is_best_begins_anew_and_is_said(
    train: Train, begun: Path, words: tuple[str, ...], reason: str
) -> None:
    before = last_of(begun)
    assert before["best"] is not None
    write = {**before, "best": (math.inf, 1.0), "stale_epochs": 7, "plateau_epochs": 5}  # none will ever be better
    put(begun, write)
    ended = train(f"resume={begun}", "epochs=4", *words, tiny=False)
    assert ended.code == 0, ended.err
    (line,) = [line for line in ended.out.splitlines() if line.startswith("Best, early stop")]
    assert line == (
        f"Best, early stop and plateau begin anew with the next epoch: the scores so far are {reason} "
        f"best.pt, of epoch {before['best_epoch']}, stays until then."
    )
    epochs = lines_of(begun / "metrics.jsonl", "epoch")[2:]
    best = min(epochs, key=lambda each: float(str(each["val_loss"])))
    after = last_of(begun)
    assert epochs[0]["best"] and after["best_epoch"] == last_of(begun, "best.pt")["epoch"] == best["epoch"]
    assert after["stale_epochs"] == 4 - int(str(best["epoch"]))
    assert lines_of(begun / "metrics.jsonl", "event")[-1]["anew"] == [line]
    again = train(f"resume={begun}", "epochs=5", tiny=False)
    assert again.code == 0 and "begin anew" not in again.out, "once"


def put(folder: Path, saved: dict[str, Any]) -> None:
    """Puts another state in the place of last.pt, as if it had been saved."""
    from trainer.engine.checkpoint import Checkpoints

    state = {key: value for key, value in saved.items() if key != "format"}
    Checkpoints(folder / "checkpoints").save_last(state)


@pytest.mark.slow
@pytest.mark.row(18)
def test_what_is_best_begins_anew_also_where_the_run_is_killed_before_it_has_saved(
    train: Train, begun: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(begun, {**last_of(begun), "best": (math.inf, 1.0)})
    words = (f"resume={begun}", "epochs=4", "limit_val=9", "resume_allow=[limit_val]")

    def reach(point: str, number: int) -> None:
        if (point, number) == ("step", 10):
            raise Crash

    with monkeypatch.context() as patch, pytest.raises(Crash):
        patch.setattr(fault, "reach", reach)
        train(*words, tiny=False)
    ended = train(f"resume={begun}", tiny=False)
    assert ended.code == 2 and "limit_val: 20 before, 9 now" in ended.err, "the checkpoint is of before"
    ended = train(*words, tiny=False)
    assert "begin anew" in ended.out and last_of(begun)["best_epoch"] > 2


@pytest.mark.slow
def test_images_that_come_to_the_training_part_alone_leave_the_best_as_it_is(
    train: Train, tmp_path: Path, photos: tuple[str, ...]
) -> None:
    assert train(*photos, "epochs=1", tiny=False).code == 0
    shutil.copy(tmp_path / "photos/train/a/0.png", tmp_path / "photos/train/a/new.png")
    ended = train(*photos, "resume=auto", "epochs=2", "resume_allow=[data]", tiny=False)
    assert ended.code == 0 and "the data have changed" in ended.out and "begin anew" not in ended.out
    shutil.copy(tmp_path / "photos/val/a/1.png", tmp_path / "photos/val/a/new.png")
    ended = train(*photos, "resume=auto", "epochs=3", "resume_allow=[data]", tiny=False)
    assert ended.code == 0 and "the scores so far are of other validation images" in ended.out


@pytest.mark.slow
@pytest.mark.row(18)
def test_another_loss_leaves_val_loss_what_it_was_and_a_later_epoch_may_be_best(
    train: Train, outputs: Path, photos: tuple[str, ...]
) -> None:
    words = (*photos, "monitor=val_loss", "optim.lr=0.01")
    assert train(*words, "epochs=2", tiny=False).code == 0
    change = ("resume=auto", "epochs=6", "loss.smoothing=0.8", "resume_allow=[loss]")
    ended = train(*words, *change, tiny=False)
    assert ended.code == 0, ended.err
    assert "Best, early stop" not in ended.out
    epochs = lines_of(outputs / "x" / "metrics.jsonl", "epoch")
    best = min(epochs, key=lambda line: float(str(line["val_loss"])))
    assert summary_of(outputs / "x")["best"]["epoch"] == best["epoch"] > 2
    objectives = [float(str(line["val_objective"])) for line in epochs]
    assert min(objectives[2:]) > objectives[1], "which would never have let a later epoch be best"


@pytest.mark.slow
def test_a_run_that_stopped_early_goes_on_where_it_validates_on_other_images(train: Train, outputs: Path) -> None:
    tiny = [word for word in TINY if not word.startswith(("model", "epochs"))]
    model = ("model=mlp", "model.width=8", "model.image_size=12")  # which has no statistics that move by themselves
    words = (*tiny, *model, "name=x", "resume=auto", "epochs=30", "early_stop=2", *STILL)
    ended = train(*words, tiny=False)
    assert ended.code == 0, ended.err
    summary = summary_of(outputs / "x")
    assert (summary["epochs"], summary["best"]["epoch"], summary["stale_epochs"]) == (3, 3, 2)
    assert "is finished" in train(*words, tiny=False).out
    again = train(*words, "resume_allow=[limit_val]", tiny=False)
    assert "is finished" in again.out and "Goes on" not in again.out, "nothing was changed"
    other = train(*words, "limit_val=5", "resume_allow=[limit_val]", tiny=False)
    assert "Goes on after step 18" in other.out and "begin anew" in other.out
    summary = summary_of(outputs / "x")
    assert (summary["epochs"], summary["best"]["epoch"], summary["stale_epochs"]) == (6, 6, 2)


@pytest.mark.slow
@pytest.mark.row(18)
def test_a_loss_of_another_scale_is_not_taken_for_a_divergence(train: Train, outputs: Path) -> None:
    words = ("name=x", "data.classes=30", "data.images=300", *STILL)
    assert train(*words, "loss=mse").code == 0
    change = ("resume=auto", "epochs=4", "loss=binary_cross_entropy", "resume_allow=[loss]")
    ended = train(*words, *change)
    assert ended.code == 0, ended.err
    assert "It is another loss" in ended.out
    assert lines_of(outputs / "x" / "metrics.jsonl", "epoch")[-1]["train_loss"] > 10  # type: ignore[operator]


# Records of earlier releases


@pytest.mark.slow
@pytest.mark.row(40)
def test_a_run_of_an_earlier_release_goes_on_and_its_val_loss_is_known_for_what_it_was(
    train: Train, tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(OLD_RUN, tmp_path / "old"))
    before = json.loads((folder / "metrics.jsonl").read_text().splitlines()[3])
    ended = train(f"resume={folder}", "resume_allow=[data]", "epochs=3", tiny=False)
    assert ended.code == 0, ended.err
    assert (
        "begin anew with the next epoch: the scores so far are of an earlier release, whose val_loss was the training "
        "loss. best.pt, of epoch 1, stays until then."
    ) in ended.out
    first, *others = lines_of(folder / "metrics.jsonl", "epoch")
    assert first["val_loss"] is None and first["val_objective"] == before["val_loss"]
    assert first["val_accuracy"] == before["val_accuracy"]
    assert all(line["val_loss"] == pytest.approx(line["val_objective"], rel=1e-5) for line in others)
    assert summary_of(folder)["best"]["epoch"] > 1 and (folder / "curves.png").exists()


@pytest.mark.row(40)
def test_a_summary_of_an_earlier_release_has_no_place_among_plain_losses(tmp_path: Path) -> None:
    for number, best in enumerate(
        (
            {"val_accuracy": 0.9, "val_loss": 0.039, "epoch": 1},  # a focal loss
            {"val_accuracy": 0.8, "val_loss": 0.2, "val_objective": 0.7, "epoch": 1},
        )
    ):
        (tmp_path / str(number)).mkdir()
        write_json(tmp_path / str(number) / "summary.json", {"status": "finished", "best": best, "last": best})
    assert RunFolder(tmp_path / "0").read_summary()["last"]["val_objective"] == 0.039
    print_table(tmp_path, "val_loss")
    with (tmp_path / "results.csv").open() as file:
        rows = [(row["rank"], row["run"], row["val_loss"], row["val_objective"]) for row in csv.DictReader(file)]
    assert rows == [("1", "1", "0.2000", "0.7000"), ("-", "0", "-", "0.0390")]


# How many are scored


@pytest.mark.slow
@pytest.mark.parametrize(
    ("words", "images", "said"),
    [
        ((), 19, None),
        (("limit_val=5",), 5, "limit_val=5, limit_test=5 (as limit_val; limit_test=all scores them all): only"),
        (("limit_val=5", "limit_test=all"), 19, "limit_val=5: only"),
        (("limit_val=5", "limit_test=7"), 7, "limit_val=5, limit_test=7: only"),
        (("limit_test=1",), 1, "limit_test=1: only"),
        (("data.val=0.5", "limit_val=40"), 19, "limit_val=40: only"),
    ],
)
def test_as_many_test_images_are_scored_as_is_said_or_as_validate_and_the_last_lines_tell(
    train: Train, outputs: Path, words: tuple[str, ...], images: int, said: str | None
) -> None:
    ended = train("name=x", "epochs=1", *words)
    assert ended.code == 0, ended.err
    assert f"on {images} image{'s' * (images > 1)}, measured once" in ended.out
    assert summary_of(outputs / "x")["test"]["images"] == images
    about = json.loads((outputs / "x" / "run.json").read_text())
    assert about["images"]["test"] == images
    notes = [line for line in ended.out.splitlines() if "only so many of these images are used" in line]
    assert [line.startswith(str(said)) for line in notes] == [True] * (said is not None)


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (("limit_test=20",), 3, "limit_test=20: there are only 19 images. Give at most 19, or all."),
        (("limit_test=5", "data.val=test"), 3, "limit_test=5: there is no test part to be scored at the end."),
        (("limit_test=al",), 2, "Did you mean 'all'?"),
        (("limit_test=0",), 2, "limit_test: 0 is not a whole number from 1 up or all or null."),
    ],
)
def test_a_number_of_test_images_that_cannot_be_is_refused(
    train: Train, words: tuple[str, ...], code: int, message: str
) -> None:
    ended = train(*words)
    assert ended.code == code and message in ended.err and len(ended.err.splitlines()) == 1


@pytest.mark.slow
def test_more_test_images_may_be_scored_by_a_run_that_goes_on(train: Train, outputs: Path) -> None:
    assert train("name=x", "sched=constant", "limit_val=5").code == 0
    ended = train(f"resume={outputs / 'x'}", "epochs=3", "limit_test=all", tiny=False)
    assert ended.code == 0 and "Not bit-exact" not in ended.out
    assert summary_of(outputs / "x")["test"]["images"] == 19
