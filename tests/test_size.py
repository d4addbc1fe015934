"""The size of a picture, and how it is stored."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainer.size import Size, kept_at, size_of, square

SIDES = st.integers(1, 5000)


@given(SIDES, SIDES)
def test_a_size_is_stored_as_what_it_is_read_from(height: int, width: int) -> None:
    size = Size(height, width)
    assert size_of(size.plain) == size_of(size) == size
    assert size.plain == (height if height == width else [height, width])
    assert repr(size) == repr(size.plain)  # stores of before there were rectangles go by it


@pytest.mark.parametrize("wrong", ["x", "ab", [48], [48, 80, 3], None, 4.5, ["a", "b"]])
def test_what_is_no_size_is_not_read_as_one(wrong: object) -> None:
    with pytest.raises((TypeError, ValueError)):
        size_of(wrong)  # type: ignore[arg-type]


def test_a_square_is_told_by_its_side() -> None:
    assert (square(64).in_pixels, Size(48, 80).in_pixels) == ("64 px", "48 x 80 px")
    assert (str(square(64)), str(Size(48, 80))) == ("64 x 64", "48 x 80")
    assert (square(64).side, Size(48, 80).side) == (64, 61)  # 61 x 61 is 3721, and 48 x 80 is 3840


@given(SIDES, SIDES, st.floats(1, 3))
def test_a_kept_size_has_the_short_side_asked_for_and_the_proportions_of_what_is_seen(
    height: int, width: int, factor: float
) -> None:
    seen, short = Size(height, width), round(min(height, width) * factor)
    kept = kept_at(seen, short)
    assert min(kept) == short and kept.height >= height and kept.width >= width
    assert abs(max(kept) - short * max(seen) / min(seen)) <= 0.5
    assert kept_at(seen, [height + 1, width + 2]) == Size(height + 1, width + 2)
