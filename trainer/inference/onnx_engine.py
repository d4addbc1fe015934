"""ONNX Runtime in the place of torch: on a CPU some networks answer three times as fast, after an export that is kept.

The export needs a gigabyte for seconds, so a process of its own makes it: `python -m trainer.inference.onnx_engine`.
"""

import hashlib
import json
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from trainer.errors import ConfigError, TrainerError, first_line
from trainer.inference.engine import Engine, load_network
from trainer.inference.network_onnx import IMAGES, export_network
from trainer.inference.saved import SavedRun, read_run
from trainer.system import durable
from trainer.system.cache_folder import engines

_RUNTIME, _EXPORTER = ("onnxruntime",), ("onnx", "onnxscript")
_CLOSE = 1e-4
"""How far the probabilities of both engines may be apart. They differ by their order of adding, some 1e-6."""
_LOOKED_AT = 8
_FORMAT = 1
"""Part of the names of kept files: to be raised when what is in them changes."""


def kept(run: SavedRun) -> Path:
    """The file that the run's network is kept in, or would be."""
    what = [_FORMAT, run.sha256, run.stored.get("model"), run.preprocessing.size.plain, run.preprocessing.channels]
    return engines() / f"{hashlib.sha256(json.dumps(what, default=str).encode()).hexdigest()[:32]}.onnx"


def is_installed(*, for_export: bool) -> bool:
    """Whether the packages are there that run a kept network, or those that export one, too."""
    return all(find_spec(name) for name in (*_RUNTIME, *(_EXPORTER if for_export else ())))


def onnx_engine(run: SavedRun) -> Engine:
    """The run's network in ONNX Runtime, exported now unless it is kept.

    Raises ConfigError if a package is missing, TrainerError if it cannot be exported or does not answer as torch does.
    """
    path = kept(run)
    if not is_installed(for_export=not path.exists()):
        raise ConfigError("engine=onnxruntime: its packages are not installed: pip install 'trainer[export]'")
    if not path.exists():
        _export_beside(run)
    os.utime(path)  # `cache` tells when it was used last
    try:
        import onnxruntime  # type: ignore[import-untyped]  # noqa: F401
    except ImportError as error:
        raise ConfigError(
            f"engine=onnxruntime: it cannot be imported ({first_line(error)}). Use engine=torch."
        ) from error
    try:
        return _engine(run, path.read_bytes())
    except Exception as error:  # whatever its reader makes of a damaged file
        path.unlink(missing_ok=True)
        raise TrainerError(
            f"{path} was damaged ({first_line(error)}), and is deleted. Say the command again."
        ) from error


def _engine(run: SavedRun, network: bytes) -> Engine:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # errors
    options.intra_op_num_threads = torch.get_num_threads()
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # the cores decode beside it
    session = onnxruntime.InferenceSession(network, options, providers=["CPUExecutionProvider"])
    transform = run.preprocessing.transform(device=torch.device("cpu"))

    @torch.inference_mode()
    def logits(pixels: Tensor) -> Tensor:
        (out,) = session.run(None, {IMAGES: transform(pixels).numpy()})
        return torch.from_numpy(out)

    return Engine(logits, "onnxruntime on cpu in fp32")


def _export_beside(run: SavedRun) -> None:
    """Lets a process of its own write the file. Raises TrainerError with what it says."""
    command = [sys.executable, "-m", "trainer.inference.onnx_engine", str(run.path), *run.stored["plugins"]]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, errors="replace", check=False)
    if ended.returncode:
        said = (ended.stderr.strip().splitlines() or [f"the export ended with {ended.returncode}"])[-1]
        raise TrainerError(f"engine=onnxruntime: {said} Use engine=torch.")


def make(run: SavedRun) -> None:
    """Exports the run's network, and keeps it if it answers as torch does. Raises TrainerError."""
    network = load_network(run)
    example = _pictures(run)
    transform = run.preprocessing.transform(device=torch.device("cpu"))
    with torch.inference_mode():
        ours = run.task.probabilities(network(transform(example)).double())
    content = export_network(network, transform(example[:2]))
    theirs = run.task.probabilities(_engine(run, content).logits(example).double())
    apart = float((ours - theirs).abs().max())
    if not apart < _CLOSE:
        raise TrainerError(f"ONNX Runtime and torch answer differently, by {apart:.1g}.")
    try:
        engines().mkdir(parents=True, exist_ok=True)
        durable.replace(kept(run), content)
    except OSError as error:
        raise TrainerError(f"{engines()} cannot be written ({error.strerror or error}).") from error


def _pictures(run: SavedRun) -> Tensor:
    """Noise of every coarseness: uint8 (8, C, *prepared_size)."""
    rng, size = np.random.default_rng(0), run.preprocessing.prepared_size
    seen = []
    for coarseness in range(_LOOKED_AT):
        steps = [max(1, side // 2**coarseness) for side in size]
        small = rng.integers(0, 256, (run.preprocessing.channels, *steps), dtype=np.uint8)
        rows, columns = (np.arange(side) * step // side for side, step in zip(size, steps, strict=True))
        seen.append(small[:, rows][:, :, columns])
    return torch.from_numpy(np.stack(seen))


if __name__ == "__main__":
    try:
        make(read_run(Path(sys.argv[1]), sys.argv[2:]))
    except TrainerError as error:
        sys.exit(str(error))
