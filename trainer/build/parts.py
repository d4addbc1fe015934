"""The part that a config has chosen, built."""

from typing import Any

from trainer import registry
from trainer.config import Config


def build_part(config: Config, room: str, *handed: Any) -> Any:
    """The part chosen for a room, built from what is handed over and what YAML said."""
    choice = config.parts[room]
    builder = registry.REGISTRIES[room].builder(choice.name, config.settings.plugins)
    return builder(*handed, **choice.options)
