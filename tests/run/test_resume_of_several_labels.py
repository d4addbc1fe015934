"""A run whose pictures have several labels goes on to the same bits, wherever its labels come from."""

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from PIL import Image
from shared import TINY, Ended, fingerprint

HOT = "path,cat,dog\n" + "".join(f"{index}.png,{index % 2},{int(index % 3 == 0)}\n" for index in range(24))
LISTS = "path,label\n" + "".join(f"{index}.png,{('cat', 'dog', 'cat|dog', '')[index % 4]}\n" for index in range(24))
ROWS = "path,label\n" + "".join(f"{index}.png,{('dog', 'cat')[index % 2]}\n" for index in range(24)) + "3.png,dog\n"

COMMON = ("task=multi", "aug.mixup=0.5", "ema=0.9", "model.widths=[4,8]", "device=cpu", "precision=fp32", "log_every=1")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("text", "words"),
    [
        (None, TINY),
        (HOT, ("data=table",)),
        (LISTS, ("data=table", "data.separator='|'")),
        (ROWS, ("data=table", "data.several_rows=true")),
    ],
    ids=["glyphs", "columns", "separator", "rows"],
)
def test_a_killed_run_with_several_labels_mixup_and_ema_ends_bit_identical(
    spawn: Callable[..., Ended], tmp_path: Path, text: str | None, words: Sequence[str]
) -> None:
    if text is not None:
        for index in range(24):
            Image.new("RGB", (12, 12), (10 * index, 255 - 9 * index, 0)).save(tmp_path / f"{index}.png")
        (tmp_path / "labels.csv").write_text(text)
        words = (*words, f"data.file={tmp_path / 'labels.csv'}", "preset=none", "batch_size=4", "data.val=0.2")
    words = (*words, *COMMON, "epochs=2", "save_every=2")
    assert spawn(*words, "name=unbroken", tiny=False).code == 0
    assert spawn(*words, "name=killed", fault="kill@step=9", tiny=False).code == -9
    ended = spawn(*words, "name=killed", "resume=auto", tiny=False)
    assert ended.code == 0, ended.err
    assert "Goes on after step 8, in epoch 2." in ended.out
    outputs = tmp_path / "outputs"
    killed, unbroken = (fingerprint(outputs / name) for name in ("killed", "unbroken"))
    assert killed == unbroken and unbroken["summary"]["best"]["val_map"] > 0
    assert unbroken["summary"]["per_class"] is not None
