"""How threads wait is said before torch is there, and what the user said stays."""

import os
import subprocess
import sys

import pytest

ASK = """
import os, sys
from trainer.cli.main import main
main(["--version"])
assert "torch" not in sys.modules
print(os.environ.get("GOMP_SPINCOUNT"))
"""


@pytest.mark.parametrize(
    ("said", "found"), [({}, "1000"), ({"GOMP_SPINCOUNT": "7"}, "7"), ({"OMP_WAIT_POLICY": "active"}, "None")]
)
def test_threads_are_told_not_to_spin_unless_the_environment_says_how(said: dict[str, str], found: str) -> None:
    silent = {key: value for key, value in os.environ.items() if key not in ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY")}
    out = subprocess.check_output([sys.executable, "-c", ASK], env={**silent, **said}, text=True)
    assert out.splitlines()[-1] == found
