"""Training from Python: what the command line does, with errors that are raised, and a run that is given back."""

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trainer.cli.main import VERBS, training_config
from trainer.errors import ConfigError
from trainer.parallel import place

if TYPE_CHECKING:
    from trainer.inference.classifier import Classifier

_ONE_AT_A_TIME = threading.Lock()


@dataclass(frozen=True)
class Run:
    """A run that has ended well."""

    path: Path
    """Its folder."""
    summary: dict[str, Any]
    """How it ended: summary.json as plain data."""

    def __repr__(self) -> str:
        best, monitor = self.summary.get("best") or {}, self.summary.get("monitor")
        score = f", best {monitor} {best[monitor]:.4f}" if monitor in best else ""
        return f"<Run {self.path}{score}>"

    def load(self, **options: Any) -> "Classifier":
        """Its classifier. options: those of trainer.load."""
        from trainer.inference.classifier import load

        return load(self.path, **options)


def train(words: Sequence[str] = ()) -> Run:
    """Trains as `python -m trainer WORDS` does: train(["model=xresnet18", "epochs=3"]); its lines are printed.

    Raises TrainerError with the message that the command line would print; of a wrong word before torch is imported.
    In a thread, signals are left alone. A second call waits for the first: both would draw from torch's one generator.
    """
    if isinstance(words, str):
        raise ConfigError(f"train: give the words as a list: train([{words!r}])")
    for word in words:
        if word.startswith("-") or word in VERBS:
            raise ConfigError(f"{word}: neither verbs nor flags are taken here, only words like epochs=3.")
    if not place.place_of().is_alone:
        raise ConfigError("train: several processes train from the command line alone: torchrun … -m trainer WORDS")
    with _ONE_AT_A_TIME:
        config = training_config(words)
        from trainer.commands.train import place_of, run_in  # torch comes with it

        folder, checkpoint = place_of(config.settings)
        run_in(folder, config, checkpoint=checkpoint, words=words)
        return Run(folder.path, folder.read_summary())
