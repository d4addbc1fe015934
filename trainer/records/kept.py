"""The weights that are kept for good, every few epochs: epoch07_loss0.1234_val0.2345.pt."""

from pathlib import Path

from trainer.engine.loop import EpochReport


def kept_name(report: EpochReport, epochs: int) -> str:
    """A name that sorts by epoch and holds what came out."""
    digits = len(str(epochs))
    return f"epoch{report.epoch:0{digits}}_loss{report.train.loss:.4f}_val{report.val.loss:.4f}.pt"


def discard_kept(checkpoints: Path, epoch: int) -> None:
    """Removes what was kept of later epochs than this one: the run has gone back, and they will come out otherwise."""
    for path in checkpoints.glob("epoch*_loss*_val*.pt"):
        number = path.name.removeprefix("epoch").partition("_")[0]
        if number.isdecimal() and int(number) > epoch:
            path.unlink()
