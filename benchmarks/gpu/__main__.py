"""make gpu: checks and speeds of a training on this machine's GPU, as a table and in benchmarks/results.

python -m benchmarks.gpu [--device cuda | cpu] [--small] [--only WORDS]. It needs no network. With --small each is only
tried out, as far as the device has it, and nothing is kept: so this command is known to work where there is no GPU.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from rich.console import Console
from rich.table import Table

from benchmarks import results
from benchmarks.gpu.checks import Place, checks
from benchmarks.gpu.speeds import Row, speeds

HEADS = ["what", "ours", "beside", "ratio (least, greatest)", "s"]


def main(words: Sequence[str]) -> int:
    """0 if all was right, else 1. What fails is told in its row, and the rest goes on."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gpu")
    parser.add_argument("--device", choices=["cuda", "cpu"], default="cuda")
    parser.add_argument("--small", action="store_true")
    parser.add_argument("--only", default="", metavar="WORDS")
    said = parser.parse_args(words)
    if said.device == "cuda" and not torch.cuda.is_available():
        print("benchmarks.gpu: this machine has no CUDA. Try it out with --device cpu --small.", file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory() as folder:
        place = Place(said.device, said.small, Path(folder))
        work = {name: _as_row(check) for name, check in checks(place)} | dict(speeds(place))
        rows = [_measured(name, each) for name, each in work.items() if said.only in name]
    gpu = _about(said.device)
    if not said.small:
        results.write("gpu", {"heads": HEADS, "rows": rows, "about": gpu})
    table = Table(*HEADS, title=gpu)
    for row in rows:
        table.add_row(*row)
    Console(width=150).print(table)
    return int(any(row[1].startswith("FAILED") for row in rows))


def _as_row(check: Callable[[], None]) -> Callable[[], Row]:
    def row() -> Row:
        check()
        return "right", "", ""

    return row


def _measured(name: str, work: Callable[[], Row]) -> list[str]:
    """The row, or what went wrong; with the seconds that it took."""
    begun = time.perf_counter()
    try:
        cells = [*work()]
    except Exception as error:  # one fault must not hide the others: the machine may not be there again
        cells = [f"FAILED: {type(error).__name__}: {str(error)[:300]}", "", ""]
    row = [name, *cells, f"{time.perf_counter() - begun:.1f}"]
    print("\t".join(row), file=sys.stderr, flush=True)
    return row


def _about(device: str) -> str:
    torchs = f"torch {torch.__version__}"
    if device == "cpu":
        return f"{torchs}, {torch.get_num_threads()} threads"
    cudnn = torch.backends.cudnn.version()
    return f"{torch.cuda.get_device_name()}, {torchs}, CUDA {torch.version.cuda}, cuDNN {cudnn}"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
