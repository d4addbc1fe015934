"""What the tests compose is what a command composes."""

import subprocess
import sys

import pytest

from trainer.cli.compose import Origin, compose
from trainer.config import conf_folder

WORDS = (
    ["model=xresnet18", "sched=one_cycle", "optim=sgd", "optim.lr=0.3", "data=cifar10"],
    ["model=xresnet18", "sched=one_cycle", "optim=adamw", "data=cifar10", "epochs=3"],
    ["experiment=smoke", "aug=strong", "aug.mixup=0.2", "init=lsuv"],
    ["experiment=smoke", "aug=strong"],
)
SHOW = """
import sys
from trainer.cli.compose import Origin, compose
from trainer.config import conf_folder
for words in {words}:
    config = compose(words, Origin(conf_folder()))
    print(config.settings, config.parts)
"""


@pytest.mark.slow
def test_what_is_composed_once_for_all_tests_is_what_a_process_of_its_own_composes() -> None:
    twice = [*WORDS, *WORDS]
    configs = [compose(words, Origin(conf_folder())) for words in twice]
    here = [f"{config.settings} {config.parts}" for config in configs]
    told = subprocess.run([sys.executable, "-c", SHOW.format(words=twice)], capture_output=True, text=True, check=True)
    assert told.stdout.splitlines() == here
