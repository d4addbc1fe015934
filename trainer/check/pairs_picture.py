"""The worst pairs of pictures that are there twice, side by side, as one picture."""

from collections.abc import Sequence
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont, ImageOps

from trainer.check.duplicates import Pair, Picture
from trainer.check.seen import PARTS, parts_of
from trainer.data.decode import decode
from trainer.data.listing import files_of
from trainer.data.source import Samples, Source
from trainer.errors import OutputError

MOST = 24
"""Pairs that are shown."""
_COLUMNS = 3
_SIDE = 128
_GAP = 8
_LINE = 14
_LETTERS = 20
"""Of a name, its end: folders are alike."""
_COLOURS = {"classes": "#b3261e", "parts": "#b26a00", "one part": "#5f6368"}


def draw_pairs(pairs: Sequence[Pair], source: Source, picture: Path) -> None:
    """Writes the first pairs, in one piece. Raises OutputError if it cannot."""
    parts = parts_of(source)
    shown = pairs[:MOST]
    columns = max(1, min(_COLUMNS, len(shown)))
    width, height = 2 * _SIDE + 3 * _GAP, _SIDE + 3 * _LINE + 2 * _GAP
    sheet = Image.new("RGB", (columns * width, max(1, -(-len(shown) // columns)) * height), "white")
    pen, font = ImageDraw.Draw(sheet), ImageFont.load_default(11)
    for number, pair in enumerate(shown):
        left, top = number % columns * width + _GAP, number // columns * height + _GAP
        what = "the same bytes" if pair.exact else "shows the same"
        between = "" if pair.between == "one part" else f", two {pair.between}"
        pen.text((left, top), what + between, fill=_COLOURS[pair.between], font=font)
        for side, each in enumerate((pair.one, pair.other)):
            x = left + side * (_SIDE + _GAP)
            sheet.paste(_image(each, parts), (x, top + _LINE))
            for line, words in enumerate((_end(each.name), _said(each, source))):
                pen.text((x, top + _LINE * (1 + line) + _SIDE), words, fill="black", font=font)
    temporary = picture.with_name(picture.name + ".tmp")
    try:
        picture.parent.mkdir(parents=True, exist_ok=True)
        sheet.save(temporary, format="PNG")
        temporary.replace(picture)
    except OSError as error:
        raise OutputError(
            f"{picture} cannot be written: {error.strerror}. Choose another with output=FOLDER."
        ) from error


def _image(picture: Picture, parts: dict[int, Samples]) -> Image.Image:
    """As it is stored, in the middle of its square."""
    samples = parts[picture.part]
    listed = files_of(samples)
    pixels = decode(listed[picture.place].picture) if listed else samples.image(picture.place)
    image = Image.fromarray(pixels.expand(3, -1, -1).permute(1, 2, 0).contiguous().numpy())
    return ImageOps.pad(image, (_SIDE, _SIDE), color="white")


def _said(picture: Picture, source: Source) -> str:
    classes = picture.classes
    names = "(ignored)" if classes is None else ", ".join(source.classes[label] for label in classes) or "no label"
    return _end(f"{PARTS[picture.part]}: {names}", keep_start=True)


def _end(words: str, *, keep_start: bool = False) -> str:
    if len(words) <= _LETTERS:
        return words
    return words[: _LETTERS - 1] + "…" if keep_start else "…" + words[1 - _LETTERS :]
