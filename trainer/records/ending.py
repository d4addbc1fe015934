"""How a run ended, in the words of summary.json."""

from typing import Any

from trainer.errors import PrunedError, StoppedError, TrainerError


def ending(error: Exception | None) -> dict[str, Any]:
    """Status and exit code, and what was said if the run did not finish. Plain data."""
    if error is None:
        return {"status": "finished", "exit_code": 0}
    status = {StoppedError: "stopped", PrunedError: "pruned"}.get(type(error), "failed")
    code = error.exit_code if isinstance(error, TrainerError) else TrainerError.exit_code
    return {"status": status, "exit_code": code, "message": str(error)}
