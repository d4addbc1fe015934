"""Collection is put off while torch is imported, and only then."""

import subprocess
import sys

import pytest

ASK = """
import gc, sys
from trainer.cli import main as cli
try:
    cli.script()
except SystemExit as ended:
    assert ended.code == 0
print(gc.isenabled())
"""


@pytest.mark.slow
@pytest.mark.parametrize(("words", "collects"), [("--version", "False"), ("summary data.images=40", "True")])
def test_collection_begins_with_the_first_build(words: str, collects: str) -> None:
    out = subprocess.check_output([sys.executable, "-c", ASK, *words.split()], text=True)
    assert out.splitlines()[-1] == collects
