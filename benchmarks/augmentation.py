"""Each augmentation on a batch, beside torchvision's on each image and kornia's on the batch; what a stack costs."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from importlib.util import find_spec
from typing import Any

import torch
from torch import Tensor
from torchvision.transforms import v2

from benchmarks.engine import Pair, bare_loop
from benchmarks.rates import Ratio, in_turn
from trainer.aug.custom import custom
from trainer.aug.mixing import Mixer
from trainer.aug.policy import Policy
from trainer.aug.sampling import blended
from trainer.aug.strong import strong
from trainer.aug.transform import Transform
from trainer.engine.device import choose_device
from trainer.engine.precision import choose_precision
from trainer.kernels.use import fastest_blend, use_kernels
from trainer.registry import MODELS
from trainer.rng import Draws
from trainer.size import square

BATCH, SIZE, CLASSES = 256, 64, 10
MEAN, STD = (0.5, 0.4, 0.3), (0.2, 0.25, 0.3)
TO_FLOAT = v2.ToDtype(torch.float32, scale=True)


@dataclass(frozen=True)
class Row:
    """An augmentation: our options, torchvision's transform, and the name and options of kornia's class."""

    name: str
    ours: dict[str, float]
    torchvision: Callable[[Tensor], Tensor] | None
    kornia: str
    options: dict[str, Any] = field(default_factory=dict)


ROWS = (
    Row("flip", {"flip": 0.5}, v2.RandomHorizontalFlip(), "RandomHorizontalFlip"),
    Row(
        "crop",
        {"crop": 0.5, "crop_aspect": 1.33},
        v2.RandomResizedCrop(SIZE, scale=(0.5, 1.0)),
        "RandomResizedCrop",
        {"size": (SIZE, SIZE), "scale": (0.5, 1.0)},
    ),
    Row(
        "rotate, zoom, shift, shear",
        {"rotate": 15, "zoom": 1.1, "shift": 0.06, "shear": 0.1},
        v2.RandomAffine(15, (0.06, 0.06), (0.9, 1.1), (-6, 6, -6, 6), v2.InterpolationMode.BILINEAR),
        "RandomAffine",
        {"degrees": 15, "translate": (0.06, 0.06), "scale": (0.9, 1.1), "shear": (-6, 6, -6, 6), "p": 1.0},
    ),
    Row("perspective", {"perspective": 0.2}, v2.RandomPerspective(0.2, 1.0), "RandomPerspective", {"p": 1.0}),
    Row(
        "brightness, contrast",
        {"brightness": 0.4, "contrast": 0.4},
        v2.ColorJitter(0.4, 0.4),
        "ColorJitter",
        {"brightness": 0.4, "contrast": 0.4, "p": 1.0},
    ),
    Row(
        "brightness, contrast, saturation, hue",
        {"brightness": 0.4, "contrast": 0.4, "saturation": 0.4, "hue": 20},
        v2.ColorJitter(0.4, 0.4, 0.4, 0.05),
        "ColorJitter",
        {"brightness": 0.4, "contrast": 0.4, "saturation": 0.4, "hue": 0.05, "p": 1.0},
    ),
    Row("greyscale", {"greyscale": 0.1}, v2.RandomGrayscale(0.1), "RandomGrayscale", {"p": 0.1}),
    Row(
        "Gaussian noise",
        {"noise": 0.1},
        v2.Compose([TO_FLOAT, v2.GaussianNoise(sigma=0.1)]),
        "RandomGaussianNoise",
        {"std": 0.1, "p": 1.0},
    ),
    Row("salt and pepper", {"salt_pepper": 0.1}, None, "RandomSaltAndPepperNoise", {"p": 1.0}),
    Row("erasing", {"erase": 0.5}, v2.RandomErasing(0.5, (0.02, 0.4)), "RandomErasing", {"p": 0.5}),
)


def beside_others() -> Iterator[tuple[str, Ratio]]:
    """images/s of each augmentation, normalisation included, over the others' of the same strength."""
    images = torch.randint(0, 256, (BATCH, 3, SIZE, SIZE), dtype=torch.uint8)
    for row in ROWS:
        ours = augmenting(custom(**row.ours), images)
        if row.torchvision is not None:
            theirs = v2.Compose([row.torchvision, TO_FLOAT, v2.Normalize(MEAN, STD)])
            yield f"{row.name}, over torchvision's", in_turn(ours, one_by_one(theirs, images), rounds=3)
        if find_spec("kornia"):
            yield f"{row.name}, over kornia's", in_turn(ours, kornias(row, images), rounds=3)
    yield from mixing_beside_torchvision(TO_FLOAT(images))


def mixing_beside_torchvision(images: Tensor) -> Iterator[tuple[str, Ratio]]:
    """images/s of mixup and cutmix over torchvision's, which draw one share for the whole batch."""
    labels, draws = torch.arange(BATCH) % CLASSES, Draws(0, 0, torch.arange(BATCH))
    for name, policy, theirs in (
        ("mixup", custom(mixup=0.2), v2.MixUp(alpha=0.2, num_classes=CLASSES)),
        ("cutmix", custom(cutmix=1.0), v2.CutMix(alpha=1.0, num_classes=CLASSES)),
    ):
        ours = partial(Mixer(policy.mix, CLASSES), images, labels, draws)
        yield f"{name}, over torchvision's", in_turn(counted(ours), counted(partial(theirs, images, labels)))


def stack_over_step() -> Ratio:
    """images/s of the strong stack with noise and mixing, over those of the small CNN's training step at 32 px.

    The step is the one that a run takes: on a CPU with our kernels.
    """
    device = choose_device("auto")
    torch.manual_seed(0)
    model = MODELS.builder("small_cnn")(CLASSES, 3).to(device, memory_format=torch.channels_last)
    if device.type == "cpu":
        use_kernels(model, choose_precision("auto", device).dtype)
    images = torch.randn(BATCH, 3, 32, 32, device=device).to(memory_format=torch.channels_last)
    pair = Pair(images, torch.arange(BATCH, device=device) % CLASSES)
    policy = strong(noise=0.05, salt_pepper=0.02, mixup=0.2, cutmix=1.0)
    stored = torch.randint(0, 256, (BATCH, 3, 32, 32), dtype=torch.uint8, device=device)
    blend = fastest_blend(torch.float32) if device.type == "cpu" else blended
    transform = Transform(policy, square(32), MEAN, STD, channels_last=True, blend=blend)
    mixer = Mixer(policy.mix, CLASSES)
    draws = Draws(0, 0, torch.arange(BATCH))
    bare = bare_loop(model, pair)
    return in_turn(counted(lambda: mixer(transform(stored, draws), pair.labels, draws)), lambda: bare(3))


def augmenting(policy: Policy, images: Tensor) -> Callable[[], int]:
    """Our way: the whole batch at once."""
    transform = Transform(policy, square(SIZE), MEAN, STD, blend=fastest_blend(torch.float32))
    draws = Draws(0, 0, torch.arange(len(images)))
    return counted(lambda: transform(images, draws))


def one_by_one(transform: Callable[[Tensor], Tensor], images: Tensor) -> Callable[[], int]:
    """The way of a data loader: image by image, then stacked."""
    return counted(lambda: torch.stack([transform(image) for image in images]))


def kornias(row: Row, images: Tensor) -> Callable[[], int]:
    """kornia's way: operations on the batch in floating point, one after the other."""
    import kornia.augmentation

    operation = getattr(kornia.augmentation, row.kornia)(**row.options)
    normalise = kornia.augmentation.Normalize(torch.tensor(MEAN), torch.tensor(STD))
    return counted(lambda: normalise(operation(images.float() / 255)))


def counted(work: Callable[[], object]) -> Callable[[], int]:
    """The work, once, and how many images it has dealt with."""

    def once() -> int:
        work()
        return BATCH

    return once
