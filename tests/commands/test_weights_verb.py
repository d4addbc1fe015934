"""The verb that lists what was learnt, and the weights that are kept on the way."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from shared import Ended, lines_of

from trainer.cli.main import main
from trainer.engine.checkpoint import Checkpoints, load

Train = Callable[..., Ended]


def test_every_tensor_is_listed_with_its_size(unbroken: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["weights", f"resume={unbroken}"]) == 0
    *lines, last = capsys.readouterr().out.splitlines()
    tensors = torch.load(unbroken / "checkpoints" / "best.pt", weights_only=True)["model"]
    assert [line.split()[0] for line in lines] == list(tensors)
    assert [line.split()[1] for line in lines if line.startswith("stem.0")] == ["4x3x3x3"]
    counts = [int(line.split()[-1].replace(",", "")) for line in lines]
    assert counts == [tensor.numel() for tensor in tensors.values()]
    assert last.startswith(f"{len(tensors)} tensors, {sum(counts):,} numbers: the best checkpoint in")


def test_a_run_must_be_named_and_have_something_to_list(train: Train, tmp_path: Path) -> None:
    assert train("weights", tiny=False).code == 2
    train("name=x", "epochs=1")
    for path in (tmp_path / "outputs" / "x" / "checkpoints").iterdir():
        path.unlink()
    assert main(["weights", f"resume={tmp_path / 'outputs' / 'x'}"]) == 4


def test_weights_are_kept_every_few_epochs_under_a_name_that_tells_epoch_and_losses(
    train: Train, tmp_path: Path
) -> None:
    assert train("name=x", "epochs=5", "keep_every=2", "ema=0.5").code == 0
    folder = tmp_path / "outputs" / "x"
    kept = sorted((folder / "checkpoints").glob("epoch*.pt"))
    epochs = lines_of(folder / "metrics.jsonl", "epoch")
    assert len(kept) == 2
    for path, line in zip(kept, (epochs[1], epochs[3]), strict=True):
        assert path.name == f"epoch{line['epoch']}_loss{line['train_loss']:.4f}_val{line['val_loss']:.4f}.pt"
        assert re.fullmatch(r"epoch\d+_loss\d+\.\d{4}_val\d+\.\d{4}\.pt", path.name)
        saved = load(path)
        assert (saved["epoch"], saved["step"]) == (line["epoch"], line["step"])


def test_what_is_kept_of_the_best_epoch_is_what_is_best(train: Train, tmp_path: Path) -> None:
    assert train("name=x", "epochs=3", "keep_every=1", "ema=0.5").code == 0
    folder = tmp_path / "outputs" / "x" / "checkpoints"
    best = load(folder / "best.pt")
    kept = load(next(folder.glob(f"epoch{best['epoch']}_*.pt")))
    assert all(torch.equal(kept["model"][name], tensor) for name, tensor in best["model"].items())


def test_kept_weights_do_not_push_the_others_out_of_the_manifest(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path)
    checkpoints.keep("best.pt", {"step": 1})
    checkpoints.save_last({"step": 1})
    for number in range(8):
        checkpoints.keep(f"epoch{number}.pt", {"step": number})
    last = checkpoints.load_last()
    assert last is not None and last["step"] == 1 and checkpoints.load_best()["step"] == 1
    assert sorted(path.name for path in tmp_path.glob("epoch*")) == [f"epoch{number}.pt" for number in range(8)]
