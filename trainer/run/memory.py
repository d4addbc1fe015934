"""What is said where memory runs out. Nothing is halved on the quiet: that would be another run."""

from collections.abc import Iterator
from contextlib import contextmanager

from trainer.build.training import Job
from trainer.config import Config
from trainer.errors import TrainerError
from trainer.size import size_of
from trainer.system.device_errors import ran_out_of_memory


@contextmanager
def advised(config: Config, job: Job | None = None) -> Iterator[None]:
    """Raises TrainerError, with what to say instead, if memory runs out meanwhile. job: None before it is built."""
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if not ran_out_of_memory(error):
            raise
        raise TrainerError(_advice(config, job)) from error


def _advice(config: Config, job: Job | None) -> str:
    """Where it happened, what the run takes at a time, and what takes less."""
    batch, accumulate = config.settings.batch_size, config.settings.accumulate
    images = f"batch_size={batch}"
    when = "before training began"
    precision = config.settings.precision
    if job is not None:
        when = f"on {job.about['device']} after step {job.state.step}"
        images += f" images of {size_of(job.about['preprocessing']['size']).in_pixels}"
        precision = job.about["precision"]
    ways = [f"batch_size={batch // 2} accumulate={2 * accumulate} (the same effective batch)"] if batch > 1 else []
    ways += ["precision=bf16"] if precision not in ("bf16", "fp16") else []
    ways += ["a smaller data.size"] if "size" in config.parts["data"].options else []
    ways += ["a smaller model"]
    return f"Out of memory {when}, with {images} in precision={precision}. Start anew with {' or '.join(ways)}."
