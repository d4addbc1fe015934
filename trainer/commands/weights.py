"""weights: the names, sizes and numbers of what a run has learnt, one tensor a line."""

from pathlib import Path

from trainer.config import Config
from trainer.engine.checkpoint import BEST, Checkpoints
from trainer.errors import CheckpointError, ConfigError
from trainer.records.folder import existing_folder


def run(config: Config) -> int:
    """Prints the tensors of the best checkpoint (of the last, before the first epoch has ended). Returns 0.

    Raises ConfigError if no run is named, CheckpointError if it has no good checkpoint.
    """
    if config.settings.resume in (None, "auto"):
        raise ConfigError("weights: say whose: python -m trainer weights resume=FOLDER")
    folder = existing_folder(Path(str(config.settings.resume))).checkpoints
    checkpoints = Checkpoints(folder)
    is_best = (folder / BEST).exists()
    saved = checkpoints.load_best() if is_best else checkpoints.load_last()
    if saved is None:
        raise CheckpointError(f"{folder} holds no checkpoint: the run has not come to saving one.")
    tensors = saved["model"]
    sizes = {name: "x".join(str(side) for side in tensor.shape) or "one number" for name, tensor in tensors.items()}
    names, widths = max(map(len, sizes)), max(map(len, sizes.values()))
    for name, tensor in tensors.items():
        print(f"{name:<{names}}  {sizes[name]:>{widths}}  {tensor.numel():>12,}")
    total = sum(tensor.numel() for tensor in tensors.values())
    which = "best" if is_best else "last"
    print(f"{len(tensors)} tensors, {total:,} numbers: the {which} checkpoint in {folder}, of epoch {saved['epoch']}")
    return 0
