"""The verb preview: one picture, of exactly what a run trains on."""

import warnings
from collections.abc import Sequence
from pathlib import Path

import pytest
import torch
from PIL import Image
from shared import TINY

from trainer.build.training import Job, build
from trainer.cli.compose import Origin, compose
from trainer.cli.main import main
from trainer.commands.preview import preview_of
from trainer.config import conf_folder
from trainer.engine.batch import steps_per_epoch
from trainer.report.preview import Cell, Preview, draw_preview


def job_of(*words: str) -> Job:
    return build(compose([*TINY, *words], Origin(conf_folder())), lambda *_: None)


@pytest.mark.parametrize(
    "words",
    [
        (),
        ("aug=strong", "aug.mixup=0.5"),
        ("data.normalise=mean_image", "data.grey=true"),
        ("data.normalise=none", "data.cache=none"),
    ],
)
def test_the_grid_shows_what_the_epochs_batches_hold(words: Sequence[str]) -> None:
    job = job_of(*words, "workers=0")
    preview = preview_of(job, [1, 2])
    shown = [cell.image for _, cells in preview.rows for cell in cells[1:]]
    trained = [
        image
        for epoch in (0, 1)
        for batch in job.batches.epoch(epoch)
        for image in job.normalisation.undone(batch.images).clamp(0, 1)
    ]
    assert len(shown) == 12
    for image in shown:
        assert any(torch.equal(image, other) for other in trained)
    assert not any(torch.equal(shown[0] + 0.01, other) for other in trained)  # the control


def test_the_first_column_is_the_untouched_image() -> None:
    job = job_of("aug=light")
    stored = next(job.batches.store.gather([torch.arange(len(job.batches.store))])) / 255
    for _, cells in preview_of(job, [1]).rows:
        assert min(float((cells[0].image - image).abs().max()) for image in stored) < 1e-5


def test_rows_take_turns_among_the_classes() -> None:
    names = [name for name, _ in preview_of(job_of(), [1]).rows]
    assert sorted(names) == ["0", "0", "1", "1", "2", "2"]


def test_mixed_images_say_of_what() -> None:
    words = [cell.words for _, cells in preview_of(job_of("aug.mixup=0.8"), [1, 2]).rows for cell in cells]
    assert any("%" in each and " + " in each for each in words)


def test_several_labels_are_all_told_and_all_counted() -> None:
    job = job_of("task=multi", "aug.mixup=0.8")
    preview = preview_of(job, [1])
    assert all(set(name.split(", ")) <= set("012") for name, _ in preview.rows)
    assert any(len(name.split(", ")) > 1 for name, _ in preview.rows)
    assert any("%" in cell.words and " + " in cell.words for _, cells in preview.rows for cell in cells)
    counts = (job.batches.store.labels > 0).sum(dim=0).tolist()
    assert list(preview.counts["training"].values()) == counts and sum(counts) > len(job.batches.store)


def test_the_rate_is_the_schedules_over_every_step() -> None:
    job = job_of("sched=warmup_cosine", "optim.lr=0.25")
    ((epochs, rates),) = preview_of(job, [1]).rates.values()
    per_epoch = steps_per_epoch(job.batches)
    assert list(rates) == [0.25 * job.recipe.schedule(step) for step in range(2 * per_epoch)]
    assert epochs[0] == 0 and epochs[per_epoch] == 1 and max(rates) == pytest.approx(0.25)


def test_classes_are_counted() -> None:
    job = job_of()
    counts = preview_of(job, [1]).counts
    assert counts == {"training": dict.fromkeys("012", 29), "validation": dict.fromkeys("012", 3)}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("words", "place"), [((), "preview.png"), (("name=x",), "x-preview.png"), (("output={}/a/b.png",), "a/b.png")]
)
def test_one_png_is_written_where_it_says(
    tmp_path: Path, words: Sequence[str], place: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["preview", f"output={tmp_path}", *TINY, *[word.format(tmp_path) for word in words]]) == 0
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == [tmp_path / place]
    assert str(tmp_path / place) in capsys.readouterr().out.splitlines()[-1]
    with Image.open(tmp_path / place) as picture:
        assert picture.format == "PNG" and picture.width > 1000
        assert len(picture.convert("RGB").getcolors(2**24) or []) > 500


def test_a_picture_that_cannot_be_written_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").write_text("")
    assert main(["preview", f"output={tmp_path / 'file' / 'a.png'}", *TINY]) == 5
    assert len(capsys.readouterr().err.splitlines()) == 1


@pytest.mark.slow
def test_any_class_name_and_number_of_classes_can_be_drawn(tmp_path: Path) -> None:
    names = ["$x^$", "\U0001f980", "a\udcff", "long " * 20, *map(str, range(60))]
    cells = [Cell(torch.zeros(1, 4, 4)), Cell(torch.ones(3, 4, 4), "50% $y$")]
    for some in (names, names[:4]):
        preview = Preview(["original", "epoch 1"], [(name, cells) for name in names[:3]], {"base": ([0], [1])}, {})
        preview = Preview(preview.headings, preview.rows, preview.rates, {"training": dict.fromkeys(some, 3)})
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            draw_preview(preview, tmp_path / "a.png")
    assert (tmp_path / "a.png").stat().st_size > 5000
