"""A large set looked at in part, and in memory: a minute is enough for any, and nothing is left behind."""

from dataclasses import dataclass

from trainer.config import Config
from trainer.data.source import Source
from trainer.preset.draft import with_values

_MOST = 2000
"""Images of a part that are decoded."""
_STEPS = 4
"""That the images are enough for, however large a batch is."""


@dataclass(frozen=True)
class Size:
    """How large the run itself is, of whose images some are looked at."""

    train: int
    val: int
    test: int
    steps: int
    """Of an epoch."""

    def images(self) -> dict[str, int]:
        """As run.json counts them."""
        return {"train": self.train, "validation": self.val, "test": self.test}


def size_of(config: Config, taken: Source) -> Size:
    """taken: the images that the run uses."""
    settings, count = config.settings, len(taken.train)
    steps = 1 if config.is_probe else -(-count // (settings.batch_size * settings.accumulate))
    return Size(count, len(taken.val), 0 if taken.test is None else len(taken.test), steps)


def in_part(config: Config, size: Size, *, readable: bool) -> Config:
    """The config of what is looked at; where not all files can be read, without those."""
    settings = config.settings
    most = max(_MOST, _STEPS * settings.batch_size * settings.accumulate)
    counts = {"limit_train": size.train, "limit_val": size.val, "limit_test": size.test}
    values: dict[str, object] = {key: most for key, count in counts.items() if count > most}
    if config.parts["data"].options.get("cache") in ("auto", "disk"):
        values["data.cache"] = "ram"
    if not readable and "on_error" in config.parts["data"].options:
        values["data.on_error"] = "skip"
    return with_values(config, values)
