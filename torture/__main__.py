"""make torture: kills runs at random moments, resumes them, and compares what they end in with unbroken ones."""

import os

os.environ["OMP_NUM_THREADS"] = "1"  # cases run side by side, on tiny models: before torch is imported

import argparse
import sys
from pathlib import Path

from torture.soak import soak

_words = argparse.ArgumentParser(prog="python -m torture", description=__doc__)
_words.add_argument("--seed", type=int, default=1, help="of the cases")
_words.add_argument("--cases", type=int, default=200, help="how many, numbered from 1")
_words.add_argument("--only", type=int, default=None, help="the number of the one case to play")
_words.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="cases side by side")
_words.add_argument("--folder", type=Path, default=None, help="where to keep what differs; by default a temporary one")
_words.add_argument("--short", action="store_true", help="with a quarter of the steps")
_said = _words.parse_args()
_numbers = range(1, _said.cases + 1) if _said.only is None else [_said.only]
_images = 28 if _said.short else 110  # of each of three classes: some 12 or 45 batches an epoch
_identical = soak(_said.seed, _numbers, jobs=_said.jobs, folder=_said.folder, images_per_class=_images)
sys.exit(0 if _identical else 1)
