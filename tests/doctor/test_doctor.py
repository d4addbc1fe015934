"""doctor: what is found in a run, at its end, afterwards, and of another tool's."""

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from shared import Ended, Reader

from trainer.cli.main import main
from trainer.doctor.diagnose import diagnose
from trainer.doctor.finding import SEVERITIES
from trainer.doctor.of_run import history_of
from trainer.records.folder import RunFolder


def rules(printed: str) -> list[str]:
    """Those that are named in what a command has printed."""
    return [
        line.rsplit("(", 1)[1].split(",")[0].rstrip(")") for line in printed.splitlines() if line.startswith(SEVERITIES)
    ]


def test_a_finished_run_says_what_is_found_and_keeps_it_in_its_summary(train: Callable[..., Ended]) -> None:
    ended = train("name=x", "init=zeros", "epochs=9", "optim.lr=0.003")
    assert ended.code == 0 and "init=zeros" in ended.out and "say: init=he_normal" in ended.out
    summary = json.loads((Path(ended.out.split("run folder: ")[1].split("\n")[0]) / "summary.json").read_text())
    assert summary["findings"][0]["rule"] == "zero_init" and summary["findings"][0]["severity"] == "fault"


def test_a_run_that_diverges_says_the_likely_cause_with_its_error(train: Callable[..., Ended]) -> None:
    ended = train("optim=sgd", "optim.lr=1e30", "log_every=1")
    assert ended.code == 6 and "rate_too_high" in ended.out and "say: optim.lr=0.1" in ended.out


def test_doctor_tells_of_a_run_that_is_there(finished: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", str(finished)]) == 0
    printed = capsys.readouterr().out
    assert "too short to tell" in printed and rules(printed)[0] == "too_little_evidence"
    assert main(["doctor", str(finished), "format=json"]) == 0
    (told,) = json.loads(capsys.readouterr().out)
    assert told["run"] == str(finished) and told["findings"][0]["rule"] == "too_little_evidence"


def test_doctor_tells_of_a_run_that_was_broken_off(finished: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (finished / "summary.json").unlink()
    lines = (finished / "metrics.jsonl").read_bytes()
    (finished / "metrics.jsonl").write_bytes(lines[: len(lines) // 2])
    assert main(["doctor", str(finished)]) == 0 and capsys.readouterr().out


def test_a_figure_that_is_too_large_for_a_number_hides_nothing(finished: Path) -> None:
    lines = (finished / "metrics.jsonl").read_text().splitlines()
    last = json.loads(lines[-1])
    last["vitals"]["layers"][0]["std"] = None  # as a run writes it whose activations are above 1e19
    (finished / "metrics.jsonl").write_text("\n".join([*lines[:-1], json.dumps(last), ""]))
    history = history_of(RunFolder(finished))
    poor = [replace(epoch, train_score=0.3, val_score=0.3) for epoch in history.epochs] * 5
    found = {finding.rule: finding.evidence for finding in diagnose(replace(history, epochs=poor))}
    assert found["activations_explode"] == "std inf after stem.2"


def test_doctor_reads_the_csv_of_another_tool(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [f"{place},{2**-place},{0.5 + 0.1 * abs(place - 3)},{60 + place},90,0.1" for place in range(12)]
    (tmp_path / "summary.csv").write_text("\n".join(["epoch,train_loss,eval_loss,eval_top1,eval_top5,lr", *rows]))
    assert main(["doctor", str(tmp_path / "summary.csv"), "classes=10"]) == 0
    assert "overfit_by_loss" in rules(capsys.readouterr().out)


def test_doctor_says_what_it_wants_where_nothing_is_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", str(tmp_path)]) == 4 and "holds no run" in capsys.readouterr().err
    assert main(["doctor"]) == 2 and "FILE.csv" in capsys.readouterr().err


def test_doctor_does_without_torch(finished: Path) -> None:
    said = f"main(['doctor', {str(finished)!r}]); print('torch' in sys.modules)"
    program = f"import sys; from trainer.cli.main import main; {said}"
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert ended.stdout.endswith("False\n")


def test_the_page_shows_all_that_is_found(finished: Path) -> None:
    assert main(["report", str(finished)]) == 0
    page = Reader(finished / "report.html")
    assert "What its records say" in page.text and "too short to tell" in page.text


def test_the_history_of_a_run_is_what_its_records_tell(finished: Path) -> None:
    history = history_of(RunFolder(finished))
    assert history.status == "finished" and history.epochs_planned == 2 == len(history.epochs)
    assert history.train_images == 87 and history.val_images == 9 and len(history.classes) == 3
    assert history.steps_per_epoch == 6 and history.steps[-1].number == 12 and history.steps[-1].loss
    last = history.epochs[-1]
    assert last.train_score is not None and last.val_score is not None and 0 <= last.val_score <= 1
    assert last.val_loss and last.val_objective and last.train_loss and last.seconds
