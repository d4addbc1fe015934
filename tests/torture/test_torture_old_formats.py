"""Torture, row 40: what earlier releases have saved still loads. tests/golden/make_format.sh writes such a run."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from shared import Ended, lines_of

from trainer.engine import checkpoint
from trainer.engine.checkpoint import FORMAT, load
from trainer.errors import CheckpointError

RUNS = sorted(Path(__file__).parents[1].glob("golden/format*"))
Train = Callable[..., Ended]


@pytest.mark.row(40)
def test_there_is_a_run_of_every_format_and_none_is_large() -> None:
    assert [path.name for path in RUNS] == [f"format{number}" for number in range(1, FORMAT + 1)]
    files = [path for run in RUNS for path in run.rglob("*.pt")]
    assert len(files) == 2 * FORMAT and all(path.stat().st_size < 100_000 for path in files)


@pytest.mark.row(40)
@pytest.mark.parametrize("run", RUNS, ids=lambda run: run.name)
def test_a_run_that_an_earlier_release_has_begun_goes_on_to_its_end(train: Train, tmp_path: Path, run: Path) -> None:
    folder = Path(shutil.copytree(run, tmp_path / "old"))
    before = load(folder / "checkpoints" / "last.pt")
    # The pictures are drawn anew, and another version of what draws them may give other pixels.
    ended = train(f"resume={folder}", "resume_allow=[data]", tiny=False)
    assert ended.code == 0, ended.err
    assert "Goes on after step 8, in epoch 2." in ended.out
    after = load(folder / "checkpoints" / "last.pt")
    assert (before["step"], after["step"], after["epoch"]) == (8, 12, 2)
    assert after["best_epoch"] == 2 if before["format"] == 1 else after["best"] >= before["best"]
    counts = [state["step"] for state in after["optimizer"].values()]
    assert counts and all(int(count) == 12 for count in counts), "Adam goes on counting where it was"
    assert [line["step"] for line in lines_of(folder / "metrics.jsonl", "step")] == [2, 4, 6, 8, 10, 12]


@pytest.mark.row(40)
@pytest.mark.parametrize("run", RUNS, ids=lambda run: run.name)
def test_in_other_groups_the_parameters_are_known_by_their_names_or_begin_anew(
    train: Train, tmp_path: Path, run: Path
) -> None:
    folder = Path(shutil.copytree(run, tmp_path / "old"))
    ended = train(f"resume={folder}", "optim.weight_decay=0.1", "resume_allow=[data,optim.weight_decay]", tiny=False)
    assert ended.code == 0, ended.err
    assert ("the optimizer begins anew for 11 parameters" in ended.out) == (run.name == "format1")
    counts = [state["step"] for state in load(folder / "checkpoints" / "last.pt")["optimizer"].values()]
    assert len(counts) == 11 and {int(count) for count in counts} == {4 if run.name == "format1" else 12}


@pytest.mark.row(40)
@pytest.mark.parametrize("run", RUNS, ids=lambda run: run.name)
def test_weights_that_an_earlier_release_has_learnt_start_a_new_run(train: Train, tmp_path: Path, run: Path) -> None:
    best = run / "checkpoints" / "best.pt"
    ended = train("name=x", "epochs=1", "optim.lr=1e-30", "aug=none", f"model.weights={best}")
    assert ended.code == 0, ended.err
    assert "weights: 20 of 20 tensors loaded from best.pt\n" in ended.out and "the head is new" not in ended.out
    old, new = load(best)["model"], load(tmp_path / "outputs" / "x" / "checkpoints" / "best.pt")["model"]
    learnt = [name for name in old if name.endswith((".weight", ".bias"))]
    assert learnt and all(torch.equal(old[name], new[name]) for name in learnt)


@pytest.mark.row(40)
def test_what_a_later_release_has_saved_is_refused_with_how_to_read_it(
    tmp_path: Path, golden: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = Path(shutil.copy(RUNS[-1] / "checkpoints" / "best.pt", tmp_path))
    assert load(path)["format"] == FORMAT
    monkeypatch.setattr(checkpoint, "FORMAT", FORMAT - 1)
    with pytest.raises(CheckpointError) as error:
        load(path)
    golden("row40_newer", f"{error.value}\n")
