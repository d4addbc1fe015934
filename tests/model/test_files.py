"""Where weights may lie: in a file, in a folder of the Hugging Face hub, in the folder of a run."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from shared import Ended

from trainer.errors import CheckpointError
from trainer.model.small_cnn import small_cnn

Train = Callable[..., Ended]


@pytest.mark.parametrize("name", ["model.safetensors", "pytorch_model.bin"])
def test_a_folder_of_the_hub_gives_its_weights(tmp_path: Path, name: str) -> None:
    torch.manual_seed(1)
    source = small_cnn(3, 3, widths=[4, 8]).state_dict()
    folder = tmp_path / "hub"
    folder.mkdir()
    save_file(source, folder / name) if name.endswith("safetensors") else torch.save(source, folder / name)
    (folder / "config.json").write_text("{ cut short")
    model = small_cnn(3, 3, widths=[4, 8], weights=str(folder))
    assert all(torch.equal(tensor, source[name]) for name, tensor in model.state_dict().items())
    assert model.notes == (f"weights: {len(source)} of {len(source)} tensors loaded from hub/{name}",)


def test_the_folder_of_a_run_gives_its_best_checkpoint(train: Train, tmp_path: Path) -> None:
    assert train("name=first", "epochs=1").code == 0
    ended = train("name=second", "epochs=1", f"model.weights={tmp_path / 'outputs' / 'first'}")
    assert ended.code == 0, ended.err
    assert "20 of 20 tensors loaded from first/checkpoints/best.pt" in ended.out


def test_a_folder_without_weights_is_refused_with_the_files_that_may_hold_some(tmp_path: Path) -> None:
    torch.save({}, tmp_path / "epoch-7.ckpt")
    with pytest.raises(CheckpointError, match=r"has none of model\.safetensors, .* Name the file .*: epoch-7\.ckpt\."):
        small_cnn(3, 3, weights=str(tmp_path))
