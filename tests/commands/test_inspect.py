"""The verbs summary and inspect, and comma lists without -m."""

from pathlib import Path

import pytest
from PIL import Image

from trainer.cli.compose import Origin, compose_each
from trainer.cli.main import main
from trainer.config import conf_folder
from trainer.errors import ConfigError

WORDS = ("data.images=80", "data.classes=3", "data.size=12", "batch_size=16", "device=cpu", "precision=fp32")
DEEP = ("model=mlp", "model.depth=6", "model.width=128", "model.image_size=8")


def schemes(*words: str) -> list[str]:
    return list(compose_each(words, Origin(conf_folder()), ("init", "model")))


@pytest.mark.slow
def test_each_combination_of_values_becomes_one_config_named_by_what_differs() -> None:
    assert schemes("init=zeros,lsuv", "seed=3") == ["zeros", "lsuv"]
    assert schemes("init=normal", "init.std=0.1,0.2") == ["std=0.1", "std=0.2"]
    assert schemes("init=he_normal") == ["he_normal"]
    assert schemes("model=mlp", "model.activation=tanh,relu", "init=lsuv,keep") == [
        "activation=tanh lsuv",
        "activation=tanh keep",
        "activation=relu lsuv",
        "activation=relu keep",
    ]


def test_an_option_is_said_to_those_parts_that_have_it() -> None:
    assert schemes("init=zeros,normal,lsuv", "init.std=0.1,0.2") == [
        "zeros",
        "normal std=0.1",
        "normal std=0.2",
        "lsuv",
    ]
    configs = compose_each(("init=zeros,normal", "init.std=0.3"), Origin(conf_folder()), ("init", "model"))
    assert configs["normal"].parts["init"].options == {"std": 0.3} and configs["zeros"].parts["init"].options == {}


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("init=zeros,lsuv", "init.std=0.1"), "unknown option 'std'"),
        (("init=zeros,xavier_norml",), "Did you mean 'xavier_normal'?"),
        (("init=normal", "init.std=0.1,-1"), "init.std: -1 is not a number above 0."),
        (
            ("seed=1,2",),
            "seed=1,2: several values are compared for init and its options or model and its options only.",
        ),
    ],
)
def test_a_wrong_word_in_a_comparison_is_told(words: tuple[str, ...], expected: str) -> None:
    with pytest.raises(ConfigError) as caught:
        schemes(*words)
    assert expected in str(caught.value)


def test_many_training_runs_are_not_made_by_a_verb_that_does_not_train(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["inspect", "-m", "init=zeros,lsuv"]) == 2
    assert "inspect: -m makes several training runs. Leave it out." in capsys.readouterr().err


@pytest.mark.slow
def test_inspect_compares_schemes_in_tables_in_words_and_in_a_picture(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["init=zeros,normal,xavier_normal", "init.std=0.01", "model.activation=tanh", "name=x"]
    assert main(["inspect", f"output={tmp_path}", *WORDS, *DEEP, *words]) == 0
    out = capsys.readouterr().out
    assert "saturated" in out and "dead" not in out
    assert [
        line.split(":")[:2] for line in out.splitlines() if line.startswith(("zeros:", "normal:", "xavier_normal:"))
    ] == [
        ["zeros", " constant"],
        ["normal", " fades"],
        ["xavier_normal", " holds"],
    ]
    with Image.open(tmp_path / "inspect" / "x.png") as picture:
        assert picture.width > 900 and len(picture.convert("RGB").getcolors(10**6) or []) > 10
    assert [path.name for path in tmp_path.iterdir()] == ["inspect"]


def test_inspect_refuses_models_with_different_layers(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["inspect", f"output={tmp_path}", *WORDS, "model=mlp,lenet", "model.image_size=8"]) == 2
    assert "differ in their layers" in capsys.readouterr().err


def test_inspect_into_a_folder_that_cannot_be_made_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").write_text("")
    assert main(["inspect", f"output={tmp_path / 'file'}", *WORDS, "model.widths=[4,8]"]) == 5
    assert "cannot be written" in capsys.readouterr().err


def test_summary_lists_layers_with_shapes_parameters_and_multiply_adds_and_writes_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["summary", f"output={tmp_path / 'none'}", *WORDS, "model.widths=[4,8]", "model.depth=1"]) == 0
    out = capsys.readouterr().out
    row = next(line for line in out.splitlines() if "stage1.1.0" in line)
    assert [cell.strip() for cell in row.split("│")[1:-1]] == [
        "stage1.1.0",
        "Conv2d",
        "8 x 6 x 6",
        str(4 * 8 * 9),
        f"{8 * 36 * 4 * 9:,}",
    ]
    parameters = 3 * 4 * 9 + 8 + 4 * 8 * 9 + 16 + 8 * 3 + 3
    multiply_adds = 4 * 144 * 3 * 9 + 8 * 36 * 4 * 9 + 8 * 3
    assert f"{parameters:,} parameters" in out and f"{multiply_adds:,} multiply-adds" in out
    assert not (tmp_path / "none").exists()


def test_summary_counts_the_work_of_layers_that_a_run_would_leave_to_the_kernels(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["summary", *WORDS, "data.size=32", "model.widths=[16,32]", "model.depth=1"]) == 0
    multiply_adds = 16 * 32**2 * 3 * 9 + 32 * 16**2 * 16 * 9 + 32 * 3
    assert f"{multiply_adds:,} multiply-adds" in capsys.readouterr().out
