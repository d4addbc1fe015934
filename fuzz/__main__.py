"""make fuzz: every input ends in success or in a refusal; no crash, no hang over 5 s, no file outside its place."""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from fuzz.child import input_of
from fuzz.targets import TARGETS

_MOST = 10**9


def fuzz(target: str, seed: int, seconds: float, most: int = _MOST, first: int = 0) -> tuple[int, dict[int, str]]:
    """(inputs tried, what was found at which number); first: the number to begin with."""
    found: dict[int, str] = {}
    number = first
    with tempfile.TemporaryDirectory() as name:
        while number < most:
            words = [sys.executable, "-m", "fuzz.child", target, str(seed), str(number), str(seconds), str(most), name]
            ended = subprocess.run(words, capture_output=True, text=True, errors="replace", check=False)
            lines = [json.loads(line) for line in ended.stdout.splitlines() if line.startswith("{")]
            found |= {line["number"]: line["what"] for line in lines if "what" in line}
            if "next" in lines[-1] if lines else False:
                return lines[-1]["next"] - first, found
            current = Path(name) / "current"
            if not current.exists():
                raise RuntimeError(f"{target}: the child cannot begin: {ended.stderr}")
            number = int(current.read_text())
            found[number] = f"the process ended with {ended.returncode}: {ended.stderr[-2000:]}"
            number += 1
    return number - first, found


def _main() -> int:
    words = argparse.ArgumentParser(prog="python -m fuzz", description=__doc__)
    words.add_argument("--seconds", type=float, default=180, help="in all, shared by the targets")
    words.add_argument("--seed", type=int, default=1, help="of the inputs")
    words.add_argument("--target", choices=TARGETS, default=None, help="one target only")
    words.add_argument("--only", type=int, default=None, help="the number of the one input to try")
    said = words.parse_args()
    os.environ["OMP_NUM_THREADS"] = "1"
    targets = [said.target] if said.target else list(TARGETS)
    if said.only is not None:
        Path("input").write_bytes(input_of(targets[0], said.seed, said.only, TARGETS[targets[0]].seeds()))
        print("The input is in the file 'input'.")
    bad = 0
    for target in targets:
        first, most = (0, _MOST) if said.only is None else (said.only, said.only + 1)
        tried, found = fuzz(target, said.seed, said.seconds / len(targets), most, first)
        print(f"{target:12}{tried:>9,} inputs  {len(found):>4} findings", flush=True)
        for number, what in list(found.items())[:5]:
            print(f"  python -m fuzz --target {target} --seed {said.seed} --only {number}\n    {what}", flush=True)
        bad += len(found)
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(_main())
