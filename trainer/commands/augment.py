"""augment: augmented copies of a folder's images, written to disk once instead of drawn anew every epoch."""

import os
import shutil
from collections.abc import Callable, Collection
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from math import cos, radians, sin
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from trainer.config import Config
from trainer.data.archive import is_archive
from trainer.data.decode import Frame, decode
from trainer.data.files import Files
from trainer.data.folder import scan
from trainer.errors import ConfigError, OutputError
from trainer.registry import entry
from trainer.report.console import Screen
from trainer.rng import seed_of
from trainer.system.garbage import begin_collecting

Pixels = NDArray[np.uint8]
"""(H, W, C)."""

_LARGEST_TURN = 30.0
"""Degrees, in either direction."""
_SCALE = 0.9
_SALT_AND_PEPPER = 0.3
"""Share of the pixels that turn black or white."""
_NOISE = 0.3
"""Standard deviation of the Gaussian noise, where 1 is all the way from black to white."""
_BRIGHTER = 1.5
_DARKER = 0.9
_ACTING = ("root", "parts", "label", "grey")
"""The options of the set that the copies follow."""


def run(config: Config) -> int:
    """Writes six copies of each training image to output, in the folders that the originals lie in. Returns 0.

    Raises ConfigError if the set is not a folder or output was not said, DataError as the set does, and OutputError
    if output is not empty, or lies in the set's folder or around it. It appears when it is whole.
    """
    begin_collecting()
    data = config.parts["data"]
    if data.name != "folder":
        raise ConfigError(f"augment: copies the images of class folders, not of data={data.name}. Say data=folder.")
    _check_options(data.options, config.said)
    source, target = Path(data.options["root"]).expanduser(), Path(config.settings.output)
    _check_target(source, target, config.said)
    target = target.resolve()  # a name of its own, and not a link, beside which the copies are made
    if is_archive(source):
        raise ConfigError(f"augment: it copies folders, and {source} is an archive. Unpack it, and give the folder.")
    parts, notes = scan(source, data.options["parts"], data.options["label"])
    train = parts["train"].root
    if not train.resolve().is_relative_to(source.resolve()):
        raise ConfigError(f"augment: the training part {train} lies outside data.root={source}. Say data.root={train}")
    screen = Screen()
    for note in notes:
        screen.say(note)
    temporary = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    try:
        place = temporary / train.resolve().relative_to(source.resolve())
        _write_copies(parts["train"], place, config, screen)
        temporary.replace(target)
    except OSError as error:
        raise OutputError(f"{target} cannot be written: {error.strerror}. Make room, or choose another.") from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    count = len(parts["train"].images)
    screen.say(f"{target}: {len(COPIES) * count:,} copies of {count:,} training images ({', '.join(COPIES)}).")
    aside = f"Copy its other parts ({', '.join(sorted(parts.keys() - {'train'}))}) beside them, as they are"
    if len(parts) == 1:
        aside = f"{source} has no part to validate on: hold images out by hand, before copying them"
    screen.say(f"{aside}. A share held out of the copies would be judged by copies of what was trained on.")
    return 0


def flip(pixels: Pixels, rng: np.random.Generator) -> Pixels:
    """Mirrored left and right."""
    return pixels[:, ::-1]


def rotation(pixels: Pixels, rng: np.random.Generator) -> Pixels:
    """Turned about the centre by up to 30 degrees and shrunk to 0.9; black where nothing was."""
    angle = radians(rng.uniform(-_LARGEST_TURN, _LARGEST_TURN))
    image = Image.fromarray(pixels.squeeze(2) if pixels.shape[2] == 1 else pixels)
    a, b = cos(angle) / _SCALE, -sin(angle) / _SCALE  # Pillow wants the map from output to input; y is down
    x, y = image.width / 2, image.height / 2
    to_input = (a, b, x - a * x - b * y, -b, a, y + b * x - a * y)
    turned = image.transform(image.size, Image.Transform.AFFINE, to_input, Image.Resampling.BILINEAR)
    return np.asarray(turned).reshape(pixels.shape)


def salt_and_pepper(pixels: Pixels, rng: np.random.Generator) -> Pixels:
    """0.3 of the pixels black or white, each as likely."""
    drawn = rng.random(pixels.shape[:2])[..., None]
    return np.where(drawn < _SALT_AND_PEPPER, np.where(drawn < _SALT_AND_PEPPER / 2, 0, 255), pixels).astype(np.uint8)


def noise(pixels: Pixels, rng: np.random.Generator) -> Pixels:
    """With Gaussian noise of standard deviation 0.3 in every channel."""
    return _clipped(pixels + np.float32(255 * _NOISE) * rng.standard_normal(pixels.shape, np.float32))


def brighter(pixels: Pixels, rng: np.random.Generator) -> Pixels:
    """Values times 1.5."""
    return _clipped(pixels * np.float32(_BRIGHTER))


def darker(pixels: Pixels, rng: np.random.Generator) -> Pixels:
    """Values times 0.9."""
    return _clipped(pixels * np.float32(_DARKER))


COPIES: dict[str, Callable[[Pixels, np.random.Generator], Pixels]] = {
    copy.__name__: copy for copy in (flip, rotation, salt_and_pepper, noise, brighter, darker)
}


def _clipped(values: NDArray[np.floating[Any]]) -> Pixels:
    return values.round().clip(0, 255).astype(np.uint8)


def _check_options(options: dict[str, Any], said: Collection[str]) -> None:
    """said: on the command line; what differs from its default was said in a file at least."""
    defaults = {key: option.default for key, option in entry("data", "folder").options.items()}
    others = {key: value for key, value in options.items() if key not in _ACTING}
    idle = [key for key, value in others.items() if f"data.{key}" in said or value != defaults[key]]
    if idle:
        raise ConfigError(f"augment: data.{idle[0]} cannot act on copies of files. Leave it out.")
    if options["label"] == "name":
        raise ConfigError("augment: the copies' names would say other classes. Sort the images into folders first.")


def _check_target(source: Path, target: Path, said: Collection[str]) -> None:
    if target == Path("outputs") and "output" not in said:
        raise ConfigError("augment: say where the copies go, a folder that is not there yet: output=FOLDER")
    here, there = source.resolve(), target.resolve()
    if here == there or here in there.parents or there in here.parents:
        raise OutputError(f"output: {target} lies in data.root={source} or around it. Choose a folder beside it.")
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise OutputError(f"output: {target} is there already, and nothing is overwritten. Choose another folder.")


def _write_copies(files: Files, place: Path, config: Config, screen: Screen) -> None:
    """The copies of each image, as PNG, so that noise stays what it is: photo.jpg gives photo.jpg-flip.png, ..."""
    for folder in {(place / image.key).parent for image in files.images}:
        folder.mkdir(parents=True, exist_ok=True)
    frame = Frame(grey=config.parts["data"].options["grey"])
    one = partial(_copy, files.root, place, frame, config.settings.seed)
    keys = [image.key for image in files.images]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for done, _ in enumerate(pool.map(one, keys), 1):
            screen.counting("Writing copies", done, len(keys))


def _copy(root: Path, place: Path, frame: Frame, seed: int, key: str) -> None:
    """What is drawn depends on the seed, the image's name and the kind of copy alone."""
    pixels = decode(root / key, frame).permute(1, 2, 0).numpy()
    for name, copy in COPIES.items():
        rng = np.random.default_rng(seed_of(seed, "augment", name, key))
        result = copy(pixels, rng)
        Image.fromarray(result.squeeze(2) if frame.grey else result).save(place / f"{key}-{name}.png")
