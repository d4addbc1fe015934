"""What predict is measured beside: the loops that people write, at their best, as processes of their own.

python -m benchmarks.predict_peers plain|timm ARCH SIZE RUN PHOTOS
"""

import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

BATCH = 32
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


class Photos(Dataset[Tensor]):
    """The pictures below a folder, through a transform."""

    def __init__(self, root: Path, transform: Callable[[Image.Image], Tensor]) -> None:
        self.paths = sorted(root.rglob("*.jpg"))
        self.transform = transform

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> Tensor:
        with Image.open(self.paths[index]) as image:
            return self.transform(image.convert("RGB"))


def torchvision_transform(size: int) -> Callable[[Any], Tensor]:
    from torchvision.transforms import v2

    return v2.Compose(
        [
            v2.Resize(size),
            v2.CenterCrop(size),
            v2.PILToTensor(),
            v2.ToDtype(torch.float32, scale=True),
            v2.Normalize(MEAN, STD),
        ]
    )


def timm_transform(size: int) -> Callable[[Any], Tensor]:
    from timm.data import create_transform

    made: Callable[[Any], Tensor] = create_transform(
        (3, size, size), is_training=False, interpolation="bilinear", mean=MEAN, std=STD, crop_pct=1.0
    )
    return made


def network(arch: str, run: Path) -> nn.Module:
    """The same network with the same weights."""
    weights = torch.load(run / "checkpoints" / "best.pt", weights_only=True)["model"]
    if arch == "xresnet18":
        from trainer.model.xresnet import xresnet18

        classes = next(reversed(weights.values())).shape[0]
        model: nn.Module = xresnet18(classes, 3)
    else:
        import timm

        model = timm.create_model(arch, num_classes=next(reversed(weights.values())).shape[0])
        weights = {name.removeprefix("network."): value for name, value in weights.items()}
    with suppress(RuntimeError):  # other names: as fast with other numbers
        model.load_state_dict(weights)
    return model.eval()


def main(name: str, arch: str, size: int, run: Path, photos: Path) -> None:
    """Prints a line a picture: its place, the likeliest class and its probability."""
    dataset = Photos(photos, (torchvision_transform if name == "plain" else timm_transform)(size))
    loader = DataLoader(dataset, BATCH, num_workers=torch.get_num_threads())
    model = network(arch, run).to(memory_format=torch.channels_last)
    lines = []
    with torch.inference_mode():
        for images in loader:
            best = model(images.contiguous(memory_format=torch.channels_last)).softmax(1).max(1)
            lines += [f"{label} {share:.6f}" for share, label in zip(*(each.tolist() for each in best), strict=True)]
    assert len(lines) == len(dataset)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), Path(sys.argv[4]), Path(sys.argv[5]))
