"""One damaged file out of good ones, as a function of the random numbers."""

import random
from collections.abc import Callable, Sequence

_NUMBERS = (0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0xFFFFFFFF, 0x7FFFFFFFFFFFFFFF, 0xFFFFFFFFFFFFFFFF)
_WORDS = (
    b"\0",
    b"\n",
    b'"',
    b"\\",
    b"[" * 2000,
    b"{" * 2000,
    b"../",
    b"/",
    b"-1",
    b"1e999",
    b"NaN",
    b"null",
    b"\xff\xfe",
)


def mutated(seeds: Sequence[bytes], draw: random.Random) -> bytes:
    """One of the seeds after one to six changes: bits, numbers, words, pieces left out, doubled or taken elsewhere."""
    data = bytearray(draw.choice(seeds))
    for _ in range(draw.choice((1, 1, 1, 2, 3, 6))):
        draw.choice(_CHANGES)(data, seeds, draw)
    return bytes(data)


def _piece(data: bytes | bytearray, draw: random.Random) -> slice:
    start = draw.randrange(len(data) + 1)
    return slice(start, start + draw.choice((1, 2, 4, 16, 64, 512)))


def _place(data: bytearray, draw: random.Random) -> int:
    """Anywhere, but every second time near the front or the back, where headers and indexes stand."""
    near = min(len(data), 64)
    return draw.choice(
        (draw.randrange(len(data) + 1), draw.randrange(len(data) + 1), draw.randrange(near + 1), len(data) - near)
    )


def _flip(data: bytearray, _: Sequence[bytes], draw: random.Random) -> None:
    if data:
        data[min(_place(data, draw), len(data) - 1)] ^= 1 << draw.randrange(8)


def _byte(data: bytearray, _: Sequence[bytes], draw: random.Random) -> None:
    if data:
        data[min(_place(data, draw), len(data) - 1)] = draw.randrange(256)


def _number(data: bytearray, _: Sequence[bytes], draw: random.Random) -> None:
    width, start = draw.choice((1, 2, 4, 8)), _place(data, draw)
    value = draw.choice(_NUMBERS) & (256**width - 1)
    data[start : start + width] = value.to_bytes(width, draw.choice(("little", "big")))


def _word(data: bytearray, _: Sequence[bytes], draw: random.Random) -> None:
    start = _place(data, draw)
    data[start : start + draw.choice((0, 1, 3))] = draw.choice(_WORDS)


def _leave_out(data: bytearray, _: Sequence[bytes], draw: random.Random) -> None:
    del data[_piece(data, draw)]


def _double(data: bytearray, _: Sequence[bytes], draw: random.Random) -> None:
    piece = _piece(data, draw)
    data[piece.start : piece.start] = data[piece] * draw.choice((1, 1, 50))


def _cut(data: bytearray, _: Sequence[bytes], draw: random.Random) -> None:
    del data[draw.randrange(len(data) + 1) :]


def _splice(data: bytearray, seeds: Sequence[bytes], draw: random.Random) -> None:
    other = draw.choice(seeds)
    data[_piece(data, draw)] = other[_piece(other, draw)]


_CHANGES: tuple[Callable[[bytearray, Sequence[bytes], random.Random], None], ...] = (
    _flip,
    _flip,
    _byte,
    _number,
    _number,
    _word,
    _leave_out,
    _double,
    _cut,
    _splice,
)
