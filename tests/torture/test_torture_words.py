"""Words and files that name code, misspell something or are out of range: refused before anything runs."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from shared import TINY, Ended

from trainer.cli.main import main

Train = Callable[..., Ended]

CALLS = [
    "os.system",
    "posix.system",
    "logging.os.system",
    "subprocess.getoutput",
    "builtins.exec",
    "torch.load",
    "torch.hub.load",
    "numpy.load",
    "hydra.utils.instantiate",
    "marking.Marker",
]
"""Names by which a config might reach code, aliases among them; the last is a class that marks what it is used for."""


DEFAULTS = {
    "aug": "upright",
    "model": "small_cnn",
    "init": "keep",
    "loss": "cross_entropy",
    "optim": "adamw",
    "sched": "one_cycle",
    "finetune": "none",
    "data": "glyphs",
}


@pytest.fixture
def marker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file that is there as soon as one of the calls was made."""
    path = tmp_path / "marker"
    code = "from pathlib import Path\nclass Marker:\n    def __init__(self, *_, **__):\n"
    (tmp_path / "marking.py").write_text(f"{code}        Path({str(path)!r}).touch()\n")
    monkeypatch.syspath_prepend(tmp_path)
    return path


@pytest.mark.row(16)
def test_the_marker_marks(marker: Path) -> None:
    from importlib import import_module

    import_module("marking").Marker(command="x")
    assert marker.exists()


def _refusals(text: str) -> list[str]:
    return sorted(line.partition(".")[0] for line in text.splitlines())


REFUSALS = sorted(f"{room} '{part}': unknown option '_target_'" for room, part in DEFAULTS.items())


@pytest.mark.row(16)
def test_code_named_on_the_command_line_is_an_unknown_option(train: Train, marker: Path) -> None:
    said = [f"+{room}._target_={call}" for room, call in zip(DEFAULTS, CALLS, strict=False)]
    ended = train(*said, f"_target_={CALLS[-1]}", f"+data._args_=[touch {marker}]", tiny=False)
    assert ended.code == 2
    top, data = "_target_: there is no such setting", "data 'glyphs': unknown option '_args_'"
    assert _refusals(ended.err) == sorted([*REFUSALS, top, data])
    assert not marker.exists() and not (marker.parent / "outputs").exists()


@pytest.mark.row(16)
def test_code_named_in_a_yaml_file_is_an_unknown_option(train: Train, marker: Path, tmp_path: Path) -> None:
    path = tmp_path / "conf" / "experiment" / "evil.yaml"
    path.parent.mkdir(parents=True)
    rooms = (f"{room}: {{_target_: {call}}}\n" for room, call in zip(DEFAULTS, CALLS[::-1], strict=False))
    path.write_text("# @package _global_\n" + "".join(rooms))
    ended = train("--config-dir", str(tmp_path / "conf"), "+experiment=evil", tiny=False)
    assert ended.code == 2 and _refusals(ended.err) == REFUSALS
    assert not marker.exists()


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run folder."""
    output = tmp_path_factory.mktemp("outputs")
    assert main([*TINY, f"output={output}", "name=x", "epochs=1"]) == 0
    return output / "x"


@pytest.mark.slow
@pytest.mark.row(16)
@pytest.mark.parametrize(
    ("added", "place"),
    [
        ("hydra: {callbacks: {x: {_target_: marking.Marker}}}\n", "hydra.callbacks.x._target_"),
        ("hydra: {sweeper: {params: {x: {_target_: marking.Marker}}}}\n", "hydra.sweeper.params"),
        ("hydra: {hydra_logging: {handlers: {x: {(): marking.Marker}}}}\n", "hydra.hydra_logging.handlers.x.()"),
        ("hydra: {job_logging: {handlers: {x: {class: marking.Marker}}}}\n", "hydra.job_logging.handlers.x.class"),
        ("hydra: {job: {env_set: {PATH: marking.Marker}}}\n", "hydra.job.env_set"),
        (
            "hydra: {job_logging: {handlers: '${oc.create:{x: {class: marking.Marker}}}'}}\n",
            "hydra.job_logging.handlers",
        ),
        (
            "hydra: {job_logging: {handlers: '${oc.decode:\"{x: {class: marking.Marker}}\"}'}}\n",
            "hydra.job_logging.handlers",
        ),
        ("_target_: marking.Marker\n", "_target_"),
    ],
)
def test_code_named_in_the_config_of_a_run_folder_never_runs(
    capsys: pytest.CaptureFixture[str], marker: Path, finished: Path, tmp_path: Path, added: str, place: str
) -> None:
    folder = tmp_path / "stored"
    shutil.copytree(finished, folder)
    (folder / "config.yaml").write_text((finished / "config.yaml").read_text() + added)
    assert main(["--config-path", str(folder), "-m", "seed=1,2", f"output={tmp_path}", "name=again"]) == 2
    assert capsys.readouterr().err.startswith(place)
    assert main([f"resume={folder}", "epochs=3"]) == 2
    assert capsys.readouterr().err.startswith(place)
    assert not marker.exists() and not (tmp_path / "multirun").exists()


@pytest.mark.row(16)
def test_what_is_said_of_code_in_a_config(
    train: Train, golden: Callable[..., None], marker: Path, finished: Path, tmp_path: Path
) -> None:
    (tmp_path / "config.yaml").write_text(
        (finished / "config.yaml").read_text() + "hydra: {callbacks: {x: {_target_: posix.system, command: id}}}\n"
    )
    words = train("model._target_=posix.system", "+optim.weight._target_=torch.hub.load")
    sweep = train("--config-path", str(tmp_path), "-m", "seed=1,2", tiny=False)
    assert (words.code, sweep.code) == (2, 2)
    golden("row16_code_in_a_config", words.err + sweep.err, r"(?<=It takes )[^.]+")


@pytest.mark.row(20)
def test_a_misspelt_part_key_option_value_and_verb_are_answered_with_the_nearest(
    capsys: pytest.CaptureFixture[str], golden: Callable[..., None]
) -> None:
    assert main(["model=xresnt18", "optim.lrr=1", "epohcs=3", "precision=fp61", "data.chace=ram"]) == 2
    assert main(["trian"]) == 2
    golden("row20_misspelt", capsys.readouterr().err, r"(?<=There is )[^.]+", r"(?<=It takes )[^.]+")


OUT_OF_RANGE = (
    "epochs=0",
    "batch_size=0",
    "accumulate=-2",
    "workers=-1",
    "limit_train=0",
    "ema=1",
    "clip_norm=nan",
    "optim.lr=-0.1",
    "optim.weight_decay=inf",
    "sched=warmup_cosine",
    "sched.warmup=1",
    "data.val=1",
    "aug.mixup=-1",
    "model.dropout=1",
    "model.widths=[16,0]",
)


@pytest.mark.row(21)
def test_all_values_out_of_range_are_told_at_once_with_key_and_range(
    capsys: pytest.CaptureFixture[str], golden: Callable[..., None]
) -> None:
    assert main(OUT_OF_RANGE) == 2
    text = capsys.readouterr().err
    keys = [word.partition("=")[0] for word in OUT_OF_RANGE if word != "sched=warmup_cosine"]
    assert sorted(line.partition(":")[0] for line in text.splitlines()) == sorted(keys)
    golden("row21_out_of_range", text)


@pytest.mark.row(21)
@pytest.mark.parametrize("word", ["optim.lr=nan", "optim.lr=0", "optim.lr=-inf", "sched.warmup=1.5", "data.val=nan"])
def test_a_number_that_is_none_or_leaves_no_room_is_refused(capsys: pytest.CaptureFixture[str], word: str) -> None:
    assert main([word]) == 2
    key, _, value = word.partition("=")
    assert capsys.readouterr().err.startswith(f"{key}: {value} is not a number ")
