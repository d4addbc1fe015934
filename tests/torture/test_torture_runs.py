"""Runs killed at random moments and resumed, some of what `make torture` plays; and that a difference is found."""

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from torture.cases import Props, draw_case
from torture.compare import differences

ROOT = Path(__file__).parents[2]
PROPS = Props(Path("images"), 84, Path("best.pt"))


@pytest.mark.slow
@pytest.mark.row(1)
@pytest.mark.row(2)
@pytest.mark.timeout(400)  # on a busy machine
def test_runs_killed_at_random_moments_end_in_the_same_bits_as_unbroken_ones() -> None:
    words = ["--cases", "4", "--jobs", "2", "--short"]
    ended = subprocess.run(
        [sys.executable, "-m", "torture", *words], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    *cases, kills, verdict = ended.stdout.splitlines()
    assert [line.split()[:3] for line in cases] == [["case", str(number), "identical"] for number in range(1, 5)]
    assert verdict.startswith("4 of 4 identical; seed 1, ")
    assert int(kills.split()[0]) >= 4


def test_a_case_is_a_function_of_its_seed_and_number() -> None:
    assert draw_case(1, 7, PROPS) == draw_case(1, 7, PROPS)
    assert draw_case(1, 7, PROPS).words != draw_case(1, 8, PROPS).words
    assert draw_case(2, 7, PROPS).words != draw_case(1, 7, PROPS).words


def test_the_cases_take_every_choice_there_is() -> None:
    cases = [draw_case(1, number, PROPS) for number in range(1, 201)]
    said = {word for case in cases for word in (*case.words, *case.last_words)}
    said |= {word for case in cases for attempt in case.attempts for word in attempt.words}
    assert {"precision=fp32", "precision=bf16", "precision=fp16", "workers=0", "workers=2", "sched=plateau"} <= said
    assert {"early_stop=2", "accumulate=3", "ema=0.99", "aug.mixup=0.4", "aug.cutmix=1", "model.dropout=0.3"} <= said
    assert {attempt.kill.phase for case in cases for attempt in case.attempts} == {
        None,
        "start-up",
        "step",
        "validation",
        "save",
        "end",
    }


def _spoil_a_bit(folder: Path) -> None:
    path = folder / "checkpoints" / "last.pt"
    saved = torch.load(path, weights_only=True)
    list(saved["model"].values())[-1].view(torch.int32)[0] ^= 1
    torch.save(saved, path)


def _spoil_a_counter(folder: Path) -> None:
    path = folder / "checkpoints" / "best.pt"
    saved = torch.load(path, weights_only=True)
    torch.save({**saved, "step": saved["step"] + 1}, path)


def _spoil_a_line(folder: Path) -> None:
    path = folder / "metrics.jsonl"
    path.write_text(path.read_text() + path.read_text().splitlines(keepends=True)[-1])


def _spoil_the_summary(folder: Path) -> None:
    path = folder / "summary.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "steps": 1}))


def _leave_a_temporary_file(folder: Path) -> None:
    (folder / "checkpoints" / "last.pt.tmp").touch()


def _change_times_and_events(folder: Path) -> None:
    path = folder / "metrics.jsonl"
    event = json.dumps({"kind": "event", "step": 6, "epoch": 1, "event": "resumed"})
    path.write_text(re.sub(r'"seconds": [\d.]+', '"seconds": 7', path.read_text()) + event + "\n")


@pytest.mark.parametrize(
    ("spoil", "found"),
    [
        (_spoil_a_bit, "last.pt/model/"),
        (_spoil_a_counter, "best.pt/step: "),
        (_spoil_a_line, "metrics.jsonl"),
        (_spoil_the_summary, "summary.json/steps: 12 unbroken, 1 killed"),
        (_leave_a_temporary_file, "checkpoints/last.pt.tmp: only in the killed run"),
        (_change_times_and_events, None),
    ],
)
def test_the_comparison_finds_one_bit_and_overlooks_times(
    unbroken: Path, tmp_path: Path, spoil: Callable[[Path], None], found: str | None
) -> None:
    other = tmp_path / "other"
    shutil.copytree(unbroken, other)
    assert differences(unbroken, other) == []
    spoil(other)
    lines = differences(unbroken, other)
    assert lines[0].startswith(found) if found else lines == []
