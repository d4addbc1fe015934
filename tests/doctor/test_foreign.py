"""CSV files of other tools: their columns are known, whatever their spaces, blanks and percents."""

from pathlib import Path

import pytest

from trainer.doctor.diagnose import diagnose
from trainer.doctor.foreign import history_in
from trainer.errors import DataError

ULTRALYTICS = """               epoch,          train/loss, metrics/accuracy_top1,            val/loss,     lr/pg0
                   1,                 2.1,                  0.30,                 1.9,      0.003
                   2,                 1.1,                  0.70,                 0.9,      0.001
"""
KERAS = "epoch,accuracy,loss,val_accuracy,val_loss,learning_rate\n0,0.25,2.1,0.3,1.9,0.003\n1,0.6,1.1,0.7,0.9,0.001\n"
LIGHTNING = """epoch,lr-Adam,step,train_acc,train_loss_step,train_loss_epoch,val_acc,val_loss
,0.003,0,,,,,
0,,9,,2.3,,,
0,,19,,,,0.3,1.9
0,,19,0.25,,2.1,,
1,,39,,,,0.7,0.9
1,,39,0.6,,1.1,,
"""
TIMM = "epoch,train_loss,eval_loss,eval_top1,eval_top5,lr\n0,2.1,1.9,30.0,80.0,0.003\n1,1.1,0.9,70.0,95.0,0.001\n"
FASTAI = "epoch,train_loss,valid_loss,error_rate,time\n0,2.1,1.9,0.7,00:12\n1,1.1,0.9,0.3,00:11\n"
FILES = {"results": ULTRALYTICS, "keras": KERAS, "metrics": LIGHTNING, "summary": TIMM, "history": FASTAI}


def written(folder: Path, text: str) -> Path:
    (file := folder / "scores.csv").write_text(text)
    return file


@pytest.mark.parametrize("name", FILES)
def test_the_columns_of_a_tool_are_known_by_their_names(name: str, tmp_path: Path) -> None:
    history = history_in(written(tmp_path, FILES[name]), classes=8)
    first, second = history.epochs
    assert (first.number, second.number) == (1, 2) and len(history.classes) == 8 and history.status is None
    assert (first.train_loss, first.val_loss) == (2.1, 1.9) and (second.train_loss, second.val_loss) == (1.1, 0.9)
    assert first.val_score == pytest.approx(0.3) and second.val_score == pytest.approx(0.7)
    trained = (0.25, 0.6) if name in ("keras", "metrics") else (None, None)
    assert (first.train_score, second.train_score) == trained
    assert second.lr == (None if name in ("metrics", "history") else 0.001)


def test_a_keras_file_with_semicolons_is_read_and_its_nan_is_a_run_that_diverged(tmp_path: Path) -> None:
    text = "epoch;acc;loss;val_acc;val_loss\n0;0.2;2.2;0.2;2.5\n1;0.1;nan;0.1;nan\n"
    history = history_in(written(tmp_path, text))
    assert history.status == "diverged" and [epoch.train_loss for epoch in history.epochs] == [2.2, None]


@pytest.mark.parametrize("text", ["name,size\na,1\n", "", "\x00\x01", "epoch,loss\n"])
def test_a_file_of_no_known_tool_is_one_error_that_names_the_tools(text: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"scores\.csv") as told:
        history_in(written(tmp_path, text))
    assert "\n" not in str(told.value)
    assert "Ultralytics" in str(told.value) or "without a row" in str(told.value)


def test_a_file_without_an_epoch_is_told_so_and_not_that_its_columns_are_unknown(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="without a row of scores"):
        history_in(written(tmp_path, "epoch,accuracy,loss,val_accuracy,val_loss\n"))


def keras(accuracy: float, loss: float, val_accuracy: float, val_loss: float, epochs: int = 8) -> str:
    """Of a run that begins at ln 2 and stands so from the second epoch on."""
    rows = [f"{epoch},{accuracy},{loss},{val_accuracy},{val_loss}" for epoch in range(1, epochs)]
    return "\n".join(["epoch,accuracy,loss,val_accuracy,val_loss", "0,0.5,0.693,0.5,0.693", *rows]) + "\n"


def test_learning_by_heart_is_told_without_the_number_of_classes(tmp_path: Path) -> None:
    told = diagnose(history_in(written(tmp_path, keras(0.99, 0.05, 0.6, 0.7))))
    assert (told[0].rule, told[0].severity) == ("overfit", "warning")


def test_a_loss_that_stands_where_it_began_is_told_without_the_number_of_classes(tmp_path: Path) -> None:
    told = diagnose(history_in(written(tmp_path, keras(0.5, 0.692, 0.5, 0.694))))[0]
    assert (told.rule, told.severity) == ("stuck_at_chance", "fault") and "classes=N" in told.advice
    trained_before = diagnose(history_in(written(tmp_path, keras(0.95, 0.69, 0.95, 0.2))))[0]
    assert trained_before.rule == "healthy"


def test_another_tools_run_is_told_no_words_of_this_program(tmp_path: Path) -> None:
    for text in (keras(0.5, 0.692, 0.5, 0.694), keras(0.99, 0.05, 0.6, 0.7), keras(0.6, 0.6, 0.6, 0.6, epochs=2)):
        assert not any(finding.words for finding in diagnose(history_in(written(tmp_path, text))))
