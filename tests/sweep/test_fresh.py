"""The runs of a sweep in one process, beside each in a process in which nothing ran before it."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from shared import TINY, fingerprint

RECIPES = {
    "one": "task: multi, sched: mine / plugins: [leaks_one], kernels: torch, precision: bf16, deterministic: false",
    "two": "sched: mine / plugins: [leaks_two], channels_last: false, precision: fp32",
    "three": "task: multi, sched: mine / plugins: [leaks_one], ema: 0.9, accumulate: 2, precision: fp32",
    "four": "sched: step / kernels: auto, clip_norm: 1.0, seed: 2, precision: fp32",
}
"""The parts and settings of each. Two plugins have a schedule of the same name."""
_PLUGIN = '''from trainer.registry import SCHEDS


@SCHEDS.register
def mine(total_steps: int):
    """A rate that never changes."""
    return lambda step: {factor}
'''
_PROCESS = """
import os, sys
from trainer.cli.main import main
import trainer.commands.train

*words, names = sys.argv[1:]
for name in names.split(","):
    child = os.fork()
    if not child:
        os._exit(main([*words, f"experiment={name}", f"name={name}"]))
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
sys.exit(main(["-m", *words, f"experiment={names}", "name=all"]))
"""


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_no_run_of_a_sweep_leaves_a_trace_in_the_next(tmp_path: Path) -> None:
    (tmp_path / "experiment").mkdir()
    (tmp_path / "sched").mkdir()
    (tmp_path / "sched" / "mine.yaml").write_text("name: mine\n")
    for name, recipe in RECIPES.items():
        parts, settings = (side.strip() for side in recipe.split("/"))
        defaults = [f"  - override /{part}" for part in parts.split(", ")]
        lines = ["# @package _global_", "defaults:", *defaults, *re.split(r", (?=\w+: )", settings)]
        (tmp_path / "experiment" / f"{name}.yaml").write_text("\n".join(lines) + "\n")
    for module, factor in (("leaks_one", 1.0), ("leaks_two", 0.5)):
        (tmp_path / f"{module}.py").write_text(_PLUGIN.format(factor=factor))
    words = ["--config-dir", str(tmp_path), f"output={tmp_path / 'outputs'}", *TINY[:-2], "report=false"]
    ended = subprocess.run(
        [sys.executable, "-c", _PROCESS, *words, ",".join(RECIPES)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    for number, name in enumerate(RECIPES):
        fresh, swept = (fingerprint(tmp_path / "outputs" / run) for run in (name, f"multirun/all/{number}"))
        assert (name, swept["state"]) == (name, fresh["state"])
        assert swept["lines"] == fresh["lines"]
