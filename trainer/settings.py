"""What may be said to a run: the settings that every run has, and the part that is chosen for a room."""

from dataclasses import dataclass, field
from typing import Any, Literal

from trainer.schema import BelowOne, Budget, Count, Positive, TrackerName, Whole

SCORES = {"single": "val_accuracy", "multi": "val_map"}
"""The score of each task, by which epochs are selected and runs ranked where monitor says nothing."""


@dataclass(frozen=True)
class Settings:
    """The settings that every run has. conf/config.yaml says in words what each does."""

    preset: Literal["auto", "none"] = "auto"
    budget: Budget | None = None
    epochs: Count = 5
    batch_size: Count = 128
    seed: Whole = 0
    precision: Literal["auto", "fp32", "tf32", "bf16", "fp16"] = "auto"
    deterministic: bool = True
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    workers: Whole | Literal["auto"] = "auto"
    accumulate: Count = 1
    clip_norm: Positive | None = None
    on_nonfinite: Literal["stop", "skip", "rollback"] = "stop"
    ema: BelowOne = 0.0
    channels_last: bool = True
    compile: bool | Literal["reduce-overhead"] = False
    kernels: Literal["auto", "torch"] = "auto"
    sync_batch_norm: bool = False
    parallel: Literal["ddp", "fsdp"] = "ddp"
    limit_train: Count | None = None
    limit_val: Count | None = None
    limit_test: Count | Literal["all"] | None = None
    name: str | None = None
    resume: str | None = None
    resume_allow: list[str] = field(default_factory=list)
    output: str = "outputs"
    log_every: Count = 10
    save_every: Whole = 0
    keep_every: Whole = 0
    early_stop: Count | None = None
    monitor: Literal["val_accuracy", "val_map", "val_loss"] | None = None
    report: bool = True
    track: Literal["none"] | TrackerName | list[TrackerName] = "none"
    track_project: str | None = None
    track_weights: bool = False
    plugins: list[str] = field(default_factory=list)

    @property
    def trackers(self) -> list[TrackerName]:
        """The trackers that are told, each once."""
        names = self.track if isinstance(self.track, list) else [self.track]
        return list(dict.fromkeys(name for name in names if name != "none"))


@dataclass(frozen=True)
class Choice:
    """The part chosen for a room, and what was said to it."""

    name: str
    options: dict[str, Any]
