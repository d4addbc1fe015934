"""make doctor: labelled runs are trained, and how often the doctor names what was planted in them is told.

`python -m benchmarks.doctor [RUNS] [half=tuning] [processes=2] [check=true] [page=true]`. RUNS is the folder that the
runs are kept in, by default outputs/doctor: what lies there under the same words is not trained again, so that a rule
can be changed and all be judged anew in seconds. FASHION_MNIST and CIFAR10_MINI may name folders of more data.
check=true asks `check` about sound runs as well, ten seconds each. page=true writes what comes out into docs/doctor.md.
"""

import os
import sys
import time
from pathlib import Path

from benchmarks.doctor.cases import Half
from benchmarks.doctor.page import PAGE, filled, parts_of
from benchmarks.doctor.plan import planned
from benchmarks.doctor.runs import train_missing
from benchmarks.doctor.verdicts import in_lines, in_table, verdict_on

HALVES: tuple[Half, ...] = ("tuning", "held out")


def main(*words: str) -> None:
    said = dict(word.split("=", 1) for word in words if "=" in word)
    runs = Path(next((word for word in words if "=" not in word), "outputs/doctor")).absolute()
    halves = [half for half in HALVES if said.get("half", half) == half]
    cases = [case for half in halves for case in planned(half)]
    began = time.monotonic()
    for number, name in enumerate(train_missing(cases, runs, int(said.get("processes", os.cpu_count() or 1))), start=1):
        print(f"{number}: {name}", flush=True)
    print(f"{len(cases)} runs are there, after {time.monotonic() - began:.0f} s.")
    for half in halves:
        checks_sound = said.get("check") == "true"
        verdicts = [verdict_on(case, runs, checks_sound=checks_sound) for case in planned(half)]
        print(f"\n# {half}\n", in_table(verdicts), "", *in_lines(verdicts), sep="\n")
        if half == "held out" and said.get("page") == "true":
            PAGE.write_text(filled(PAGE.read_text(), parts_of(verdicts)))


if __name__ == "__main__":
    main(*sys.argv[1:])
