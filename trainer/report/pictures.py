"""Where a verb's picture goes."""

from datetime import datetime
from pathlib import Path

from trainer.errors import OutputError


def picture_in(folder: Path, name: str | None) -> Path:
    """A file that is not there yet, unless it was named; its folder is made. Raises OutputError."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(
            f"{folder} cannot be written: {error.strerror}. Choose another with output=FOLDER."
        ) from error
    return folder / f"{name or datetime.now().strftime('%Y-%m-%d_%H-%M-%S')}.png"
