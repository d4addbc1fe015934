"""check: a run taken for a walk before it is begun: what is wrong with it, and the words that mend it."""

from typing import Literal

from trainer.check import telling
from trainer.check.walk import walk
from trainer.config import Config
from trainer.errors import ConfigError
from trainer.report.console import Screen
from trainer.run.memory import advised


def run(config: Config, *, format: Literal["text", "json"] = "text") -> int:
    """Prints what was found. Returns 0, or 7 where something must be mended.

    Raises ConfigError for pictures that come by in an order of their own.
    """
    if config.parts["data"].options.get("streaming"):
        raise ConfigError(
            "check: it looks at pictures in any order, and data.streaming=true gives them in its own. Fetch a few "
            "shards, and check these without data.streaming."
        )
    with Screen(aside=format == "json") as screen, advised(config):
        found = walk(config, screen)
        if format == "text":
            for line in telling.in_words(found):
                screen.say(line)
    if format == "json":
        print(telling.as_json(found))
    return telling.exit_code(found)
