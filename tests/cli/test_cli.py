"""A wrong word: what is said, with which exit code, how soon, and all at once."""

import subprocess
import sys
from collections.abc import Callable, Sequence
from importlib import import_module

import pytest

from trainer.cli import main as cli
from trainer.cli.main import ON_RUNS, VERBS, main
from trainer.registry import keyword_options
from trainer.schema import choices


def said(capsys: pytest.CaptureFixture[str], *words: str) -> list[str]:
    """The lines of the message that the words end in."""
    assert main(words) == 2
    return capsys.readouterr().err.splitlines()


@pytest.mark.row(20)
@pytest.mark.row(21)
@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("model=xresnt18", "model: there is no model 'xresnt18'. Did you mean 'xresnet18'?"),
        ("modle=xresnet18", "modle: there is no such setting. Did you mean 'model'?"),
        ("optim.lrr=1", "optim 'adamw': unknown option 'lrr'. Did you mean 'lr'?"),
        ("+optim.lrr=1", "optim 'adamw': unknown option 'lrr'. Did you mean 'lr'?"),
        ("++optim.lrr=1", "optim 'adamw': unknown option 'lrr'. Did you mean 'lr'?"),
        ("epochs=many", "epochs: 'many' is not a whole number from 1 up."),
        ("epochs=0", "epochs: 0 is not a whole number from 1 up."),
        ("epochs=2.5", "epochs: 2.5 is not a whole number from 1 up."),
        ("batch_size=-3", "batch_size: -3 is not a whole number from 1 up."),
        ("epochs=true", "epochs: True is not a whole number from 1 up."),
        ("precision=fp61", "precision: 'fp61' is not auto | fp32 | tf32 | bf16 | fp16. Did you mean 'fp16'?"),
        ("optim.lr=nan", "optim.lr: nan is not a number above 0 or auto."),
        ("optim.lr=-1", "optim.lr: -1 is not a number above 0 or auto."),
        ("ema=1", "ema: 1 is not a number from 0 to below 1."),
        ("data=folder", "data 'folder': option 'root' is needed. Say data.root=…"),
        ("early_stop=9", "early_stop: 9 epochs without progress cannot happen in epochs=5."),
        ("experiment=smoek", "experiment: there is no experiment 'smoek'. Did you mean 'smoke'?"),
        ("plugins=[no.such]", "plugins: there is no Python module 'no.such'."),
        ("optim.lr=[1", "optim.lr=[1: cannot be read."),
        ("optim.lr=~/x", "optim.lr: '~/x' is not a number above 0 or auto."),
        ("lr=0.1", "lr: there is no such setting. Did you mean 'optim.lr'?"),
        ("data=floder data.root=x", "data: there is no data 'floder'. Did you mean 'folder'?"),
        ("--epochs=3", "--epochs=3: there is no such flag. Settings are written without dashes: epochs=3"),
        ("name=../x", "name: '../x' names no folder inside output."),
        ("name=", "name: '' names no folder inside output."),
        ("experiment=null", "experiment: there is no experiment 'null'."),
        ("plugins=[.x]", "plugins: there is no Python module '.x'."),
        ("plugins=[trainer.nope]", "plugins: there is no Python module 'trainer.nope'."),
        ("--cfg=job model=xresnt18", "model: there is no model 'xresnt18'."),
        ("optim.lr=1,2", "optim.lr=1,2: several values make several runs, which wants -m."),
        ("optim.lr=${nowhere}", "Interpolation key 'nowhere' not found"),
        ("hydra.run.dir=x", "hydra.run.dir: the run folder is chosen with output=FOLDER and name=NAME."),
        ("model._target_=os.system", "model 'small_cnn': unknown option '_target_'."),
        ("trian", "trian: there is no such verb. Did you mean 'train'?"),
        ("epochs 3", "epochs: there is no such verb. Did you mean 'epochs=VALUE'? Settings are written key=value."),
        ("train epochs", "epochs: cannot be read. Did you mean 'epochs=VALUE'? Write key=value"),
        ("epochs=3 train", "train: a verb stands first: python -m trainer train key=value"),
        (
            "data.root=x",
            "data 'glyphs': unknown option 'root'. It is an option of cifar10, cifar100, fashion_mnist, folder",
        ),
        (
            "optim.momentum=0.9",
            "optim 'adamw': unknown option 'momentum'. It is an option of muon, rmsprop, sgd: choose one with optim=",
        ),
    ],
)
def test_a_wrong_word_is_told_in_one_line_with_what_to_say_instead(
    capsys: pytest.CaptureFixture[str], word: str, expected: str
) -> None:
    lines = said(capsys, *word.split())
    assert len(lines) == 1
    assert lines[0].startswith(expected)


def test_of_a_list_the_word_that_is_wrong_is_the_one_that_is_mended(capsys: pytest.CaptureFixture[str]) -> None:
    (line,) = said(capsys, "track=[tensorboard,mlfow]")
    assert line.endswith(" Did you mean 'mlflow'?")


def test_all_errors_are_told_at_once(capsys: pytest.CaptureFixture[str]) -> None:
    lines = said(capsys, "model=xresnt18", "optim.lrr=1", "epochs=many", "+sched.warmpu=1", "modle=x")
    assert [line.split(":")[0] for line in lines] == ["model", "epochs", "modle", "optim 'adamw'", "sched 'one_cycle'"]


def test_a_wrong_value_anywhere_in_a_sweep_is_told_before_the_first_run(capsys: pytest.CaptureFixture[str]) -> None:
    lines = said(capsys, "-m", "optim.lr=0.1,none", "init=lsuv,he_norml", "sched=constant")
    assert lines[0].startswith("init: there is no init 'he_norml'. Did you mean 'he_normal'?")
    assert lines[1] == "optim.lr: 'none' is not a number above 0 or auto."


def test_hydras_pickled_rerun_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert "pickle" in said(capsys, "--experimental-rerun", "x")[0]


@pytest.mark.slow
@pytest.mark.row(20)
@pytest.mark.parametrize(
    "words",
    [
        ["optim.lrr=1"],
        ["--help"],
        ["--cfg", "job"],
        ["-m", "optim.lr=0.1,-1"],
        ["predict"],
        ["predict", "nowhere", "x.jpg"],
        ["evaluate", "nowhere", "x.jpg", "treshold=1"],
        ["export", "--help"],
    ],
)
def test_words_are_answered_without_importing_torch(words: list[str]) -> None:
    code = (
        "import sys; from trainer.cli.main import main\n"
        "try: main(sys.argv[1:])\n"
        "except SystemExit: pass\n"
        "assert 'hydra' in sys.modules and 'torch' not in sys.modules, 'torch was imported'"
    )
    ended = subprocess.run([sys.executable, "-c", code, *words], capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout or ended.stderr


@pytest.mark.row(5)
def test_an_interrupt_outside_training_is_told_and_claims_nothing_that_may_be_wrong(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], golden: Callable[..., None]
) -> None:
    def interrupted(words: Sequence[str]) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr(cli, "main", interrupted)
    with pytest.raises(SystemExit) as ended:
        cli.script()
    assert ended.value.code == 130
    golden("row05_outside_training", capsys.readouterr().err)


@pytest.mark.parametrize("verb", ON_RUNS)
def test_a_verb_that_works_on_runs_tells_its_options_and_has_a_command(
    verb: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([verb, "--help"]) == 0
    told = capsys.readouterr().out
    assert told.startswith(VERBS[verb]) and "Options" in told
    assert callable(import_module(f"trainer.commands.{verb}").run)


@pytest.mark.parametrize("verb", ON_RUNS)
def test_every_option_of_a_verb_that_works_on_runs_has_one_phrase(
    verb: str, capsys: pytest.CaptureFixture[str]
) -> None:
    options = keyword_options(f"trainer.commands.{verb}", "run")
    assert [key.partition("=")[0] for key in ON_RUNS[verb].phrases if key.partition("=")[0] not in options] == []
    assert main([verb, "--help"]) == 0
    told = capsys.readouterr().out
    for key, option in options.items():
        (line,) = [line for line in told.splitlines() if line.startswith(f"  {key}=")]
        value, phrase = line.removeprefix(f"  {key}=").split("  ", 1)
        assert len(phrase.split()) > 2 and all(choice in value for choice in choices(option.annotation))
    assert "=text " not in told and "null" not in told  # the word of a type
