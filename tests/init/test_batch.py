"""The images that an initialisation is shown."""

from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image
from shared import Ended
from torch import Tensor, nn

from trainer.init import keep
from trainer.registry import INITS

KINDS = ("red", "green", "blue")


def test_an_initialisation_sees_every_class_of_a_set_that_lies_class_by_class(
    train: Callable[..., Ended], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for kind in KINDS:
        (tmp_path / "set" / kind).mkdir(parents=True)
        for number in range(20):
            Image.new("RGB", (12, 12), kind).save(tmp_path / "set" / kind / f"{number}.png")
    seen: list[Tensor] = []

    def look(model: nn.Module, batch: Tensor) -> None:
        seen.append(batch)

    monkeypatch.setitem(INITS._builders, (keep.__name__, keep.keep.__name__), look)
    words = ("data=folder", f"data.root={tmp_path / 'set'}", "model.widths=[4,8]", "batch_size=16", "epochs=1")
    ended = train(*words, "data.cache=ram", "report=false", "device=cpu", tiny=False)
    assert ended.code == 0, ended.err
    assert len(seen[0]) <= 16 and len(seen[0].flatten(1).unique(dim=0)) == len(KINDS)
