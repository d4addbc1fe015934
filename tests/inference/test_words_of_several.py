"""Several labels in one cell of a table, and what comes back from it."""

import torch
from hypothesis import given
from hypothesis import strategies as st

from trainer.inference.multi.words import joined, labels_in_words, split

NAME = st.text("ab|\\?\n, '", min_size=1, max_size=6)


@given(st.lists(NAME, unique=True, max_size=5), st.data())
def test_whatever_classes_are_called_their_labels_come_back(names: list[str], data: st.DataObject) -> None:
    row = [data.draw(st.sampled_from([-1, 0, 1])) for _ in names]
    (cell,) = labels_in_words(torch.tensor([row], dtype=torch.int8), names)
    shown, unknown = (
        frozenset(name for name, each in zip(names, row, strict=True) if each == value) for value in (1, -1)
    )
    assert split(cell) == (shown, unknown)
    assert split(joined(names)) == (frozenset(names), frozenset())


def test_plain_names_stand_as_they_are_in_the_order_of_names() -> None:
    labels = torch.tensor([[1, 0, 1], [0, -1, 0], [0, 0, 0]], dtype=torch.int8)
    assert labels_in_words(labels, ["cat", "bird", "ant"]) == ["ant|cat", "?bird", ""]
    assert joined(["a|b", "?c"]) == r"a\|b|\?c"
