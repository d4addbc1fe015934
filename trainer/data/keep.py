"""What is asked of decoded images."""

from dataclasses import dataclass
from pathlib import Path

from trainer.schema import Cache
from trainer.system.cache_folder import default_folder


@dataclass(frozen=True)
class Keep:
    """What is asked of decoded images: where they are kept, in which folder, and how many GiB that may hold in all."""

    cache: Cache = "auto"
    cache_dir: str | None = None
    cache_limit: float = 20.0

    @property
    def folder(self) -> Path:
        return Path(self.cache_dir).expanduser().absolute() if self.cache_dir else default_folder()

    @property
    def limit(self) -> int:
        """In bytes."""
        return int(self.cache_limit * 2**30)
