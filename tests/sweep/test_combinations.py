"""Which runs a multirun makes of the values that are said."""

from collections.abc import Callable
from pathlib import Path

import pytest
from shared import Ended

from trainer.cli.compose import number_of_jobs
from trainer.records.folder import RunFolder

Train = Callable[..., Ended]


@pytest.mark.slow
def test_an_option_that_one_of_the_parts_lacks_is_said_to_those_that_have_it(train: Train, tmp_path: Path) -> None:
    ended = train("-m", "name=x", "aug=none,light", "aug.flip=0,0.5", "epochs=1", "limit_train=16")
    assert ended.code == 0, ended.err
    folders = sorted((tmp_path / "outputs" / "multirun" / "x").glob("*/config.yaml"))
    chosen = [RunFolder(path.parent).read_config().parts["aug"] for path in folders]
    assert [(each.name, each.options.get("flip")) for each in chosen] == [("none", None), ("light", 0), ("light", 0.5)]
    assert "run 3 of 3" in ended.out


@pytest.mark.parametrize(
    ("words", "count"),
    [
        (("aug=none,light", "aug.flip=0,0.5"), 3),
        (("aug=none,light", "aug.flip=0.5"), 2),
        (("aug.flip=0,0.5", "seed=1,2", "aug=none,light"), 6),
        (("optim.lr=0.1,0.2,0.1", "seed=1,2"), 4),
        (("optim.lr=0.1,0.2", "optim.lr=0.3"), 1),
        (("aug=light,mine", "aug.flip=0,0.5"), 4),  # of a part in one's own YAML nothing is known
        (("aug=none,mine", "aug.flip=0,0.5"), 3),
    ],
)
def test_the_combinations_are_counted_that_there_are(words: tuple[str, ...], count: int) -> None:
    assert number_of_jobs(words) == count


def test_an_option_of_a_plugins_part_is_said_to_it_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    body = "from trainer.registry import SCHEDS\n@SCHEDS.register\ndef ramp(total_steps, *, floor: float = 0.5): ...\n"
    (tmp_path / "plugin_of_sweeps.py").write_text(body)
    monkeypatch.syspath_prepend(tmp_path)
    assert number_of_jobs(("plugins=[plugin_of_sweeps]", "sched=constant,ramp", "sched.floor=0,0.1")) == 3


@pytest.mark.slow
@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("aug=none,light", "aug.flip=0,2"), "aug.flip: 2 is not a number from 0 to 1"),
        (("aug=none,light", "aug.flop=0,1"), "aug 'none': unknown option 'flop'."),
        (("aug=none", "aug.flip=0,0.5"), "aug 'none': unknown option 'flip'."),
        (("monitor=val_acuracy", "seed=0,1"), "monitor: 'val_acuracy' is"),
        (("seed=0,1", "monitor=val_map"), "monitor: val_map is no score of task=single."),
    ],
)
def test_what_is_wrong_in_any_combination_is_told_before_the_first_run(
    train: Train, tmp_path: Path, words: tuple[str, ...], told: str
) -> None:
    ended = train("-m", *words)
    assert ended.code == 2 and ended.err.startswith(told), ended.err
    assert not (tmp_path / "outputs").exists()
