"""Whole training steps on an emulated GPU: no devices mix, the host waits for nothing, few kernels are launched."""

from collections.abc import Iterator
from itertools import cycle, islice

import pytest
import torch
from fake_gpu import FakeGpu, Note, built, fake_gpu, needs_cuda_build, take_steps
from shared import TINY
from torch import Tensor

from trainer import registry
from trainer.aug import warp
from trainer.engine import loop, metrics, state
from trainer.engine.metrics import NUM_SUMS
from trainer.errors import ConfigError
from trainer.feed.on_device import DeviceStore

pytestmark = [needs_cuda_build, pytest.mark.filterwarnings("ignore::UserWarning")]
WORDS = [*(word for word in TINY if not word.startswith(("device", "precision"))), "device=cuda", "kernels=torch"]
OF_ANY_MODEL = [word for word in WORDS if not word.startswith(("model", "data.size"))]
STRONG = ("aug=strong", "aug.mixup=0.2", "aug.cutmix=1.0")

STEPS: dict[str, tuple[tuple[str, ...], int]] = {
    # Words, and the launches of a step beside model, backward pass, augmentation and optimizer.
    "fp32": (("precision=fp32",), 27),
    "bf16": (("precision=bf16",), 28),
    "fp32, averaged": (("precision=fp32", "ema=0.99"), 29),
    "fp32, steps that are not finite left out": (("precision=fp32", "on_nonfinite=skip"), 44),
    "fp16, averaged, in two batches, clipped": (("precision=fp16", "ema=0.99", "accumulate=2", "clip_norm=1"), 83),
    "bf16, the strong stack, mixed": (("precision=bf16", *STRONG), 25),
}
AUGMENTATION = {"fp32": 17, "bf16, the strong stack, mixed": 91}
"""Launches of the augmentation of a batch."""


def a_step(patch: pytest.MonkeyPatch, *words: str, steps: int = 2) -> FakeGpu:
    """What was noted in the last of these steps, and in preparing the batch after it."""
    with fake_gpu(patch) as gpu:
        take_steps(gpu, patch, built([*WORDS, *words]), steps)
    return gpu


def waits(gpu: FakeGpu) -> list[str]:
    """Where the host waited for the device."""
    return [f"{note.what}: {note.line}" for note in gpu.waits]


@pytest.mark.slow
@pytest.mark.parametrize("name", STEPS)
def test_a_step_launches_so_many_kernels_and_the_host_waits_for_none(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    words, launches = STEPS[name]
    gpu = a_step(monkeypatch, *words)
    assert waits(gpu) == []
    assert gpu.counts["besides"] == launches
    if name in AUGMENTATION:
        assert gpu.counts["augmentation"] == AUGMENTATION[name]


BY_THEMSELVES = [f"aug.{name}" for name in (
    "flip=0.5", "flip=alternate", "crop=0.5", "rotate=10", "perspective=0.2", "hue=20", "noise=0.1", "salt_pepper=0.1",
    "erase=0.5", "mixup=0.2", "cutmix=1", "auto=rand_augment",
)]  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("word", BY_THEMSELVES)
def test_no_augmentation_waits_by_itself(word: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert waits(a_step(monkeypatch, "aug=custom", word, steps=1)) == []


def combinations() -> Iterator[tuple[str, ...]]:
    """Every loss, optimizer and augmentation at least once; not each with each."""
    rooms = {room: sorted(registry.entries(room)) for room in ("loss", "optim", "aug")}
    columns = [cycle([f"{room}={name}" for name in names]) for room, names in rooms.items()]
    yield from islice(zip(*columns, strict=True), max(map(len, rooms.values())))


@pytest.mark.slow
@pytest.mark.parametrize("words", [*combinations()], ids=" ".join)
def test_no_part_of_a_step_mixes_devices_or_waits(words: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    assert waits(a_step(monkeypatch, "precision=bf16", "finetune=none", *words, steps=1)) == []


MODELS = {
    "lenet": ("model=lenet", "model.batch_norm=true", "data.size=32"),
    "mlp": ("model=mlp", "model.batch_norm=true", "data.size=16"),
    "plain_cnn": ("model=plain_cnn", "data.size=12"),
    "small_cnn": ("model=small_cnn", "model.noise=0.1", "data.size=12"),
    "waste_sorter": ("model=waste_sorter", "model.image_size=45", "data.size=45"),
    "xresnet18": ("model=xresnet18", "model.stochastic_depth=0.1", "data.size=32"),
    "zfnet": ("model=zfnet", "data.size=64"),
    "backbone": ("model=backbone", "model.arch=resnet18", "data.size=32"),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", MODELS)
def test_no_model_mixes_devices_or_waits(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with fake_gpu(monkeypatch) as gpu:
        take_steps(gpu, monkeypatch, built([*OF_ANY_MODEL, "aug=none", *MODELS[name]]), 1)
    assert waits(gpu) == []


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(registry.entries("init")))
def test_every_initialisation_leaves_the_model_on_the_device(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with fake_gpu(monkeypatch) as gpu:
        job = built([*WORDS, f"init={name}"])
        assert {each.device for each in job.state.model.state_dict().values()} == {gpu.device}


@pytest.mark.slow
def test_images_that_fit_stay_on_the_device(monkeypatch: pytest.MonkeyPatch) -> None:
    with fake_gpu(monkeypatch) as gpu:
        for words, stay in (((), True), (("data.cache=device",), True), (("data.cache=ram",), False)):
            job = built([*WORDS, *words])
            there = [isinstance(each.store, DeviceStore) for each in (job.batches, job.val_batches)]
            assert there == [stay, stay]
            gpu.forget()
            batch = next(iter(job.batches.epoch(0)))
            assert batch.images.device == gpu.device and waits(gpu) == []
        job = built([*WORDS, "aug=custom", "aug.auto=rand_augment"])  # on the CPU, image by image
        assert not isinstance(job.batches.store, DeviceStore)


def test_images_that_the_cpu_augments_one_by_one_cannot_stay_on_the_device(monkeypatch: pytest.MonkeyPatch) -> None:
    with fake_gpu(monkeypatch), pytest.raises(ConfigError, match=r"data\.cache: aug\.auto works on the CPU"):
        built([*WORDS, "aug=custom", "aug.auto=rand_augment", "data.cache=device"])


@pytest.mark.slow
def test_an_evaluation_reads_the_device_at_its_end_and_not_for_each_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    counts = []
    for batch_size in (2, 16):
        with fake_gpu(monkeypatch) as gpu:
            job = built([*WORDS, f"batch_size={batch_size}"])
            gpu.forget()
            loop.evaluate(job.state.selected_model, job.val_batches, job.recipe.criterion, job.recipe.precision)
        counts.append((len(job.val_batches), len(waits(gpu))))
    (many, waits_of_many), (few, waits_of_few) = counts
    assert many > few and waits_of_many == waits_of_few


@pytest.mark.slow
def test_a_device_without_doubles_is_given_none(monkeypatch: pytest.MonkeyPatch) -> None:
    """As mps, which this torch cannot emulate: there sums are single, and nothing else may be double."""

    def doubles(patch: pytest.MonkeyPatch) -> list[Note]:
        with fake_gpu(patch) as gpu:
            job = built(WORDS)
            take_steps(gpu, patch, job)
            loop.evaluate(job.state.selected_model, job.val_batches, job.recipe.criterion, job.recipe.precision)
        return gpu.doubles

    with monkeypatch.context() as patch:
        assert doubles(patch), "the control: else it would see none anyway"
    monkeypatch.setattr(metrics, "zero_sums", lambda device: torch.zeros(NUM_SUMS, device=device))
    assert doubles(monkeypatch) == []


@pytest.mark.slow
def test_a_number_that_a_step_reads_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    note = loop.note

    def reading(state: state.State, loss: Tensor, *rest: object, **options: bool) -> tuple[Tensor | None, Tensor]:
        assert float(loss) == 0.0
        return note(state, loss, *rest, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(loop, "note", reading)
    assert [wait.partition(":")[0] for wait in waits(a_step(monkeypatch))] == ["a number is read"]


@pytest.mark.slow
def test_a_copy_from_memory_that_is_not_pinned_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        warp, "upload_all", lambda lines, device: [each.to(device, non_blocking=True) for each in lines]
    )
    assert {wait.partition(":")[0] for wait in waits(a_step(monkeypatch))} == {"a copy from memory that is not pinned"}


def test_devices_that_meet_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with fake_gpu(monkeypatch) as gpu, pytest.raises(RuntimeError, match=r"cuda:0.*cpu|cpu.*cuda:0|different devices"):
        torch.zeros(3, device=gpu.device) + torch.zeros(3)
