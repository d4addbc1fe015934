"""Labels that are measured numbers are no classes, and numbers that are classes are."""

from pathlib import Path

import pytest

from trainer.data.numbers import refuse_numbers
from trainer.errors import DataError

TABLE = Path("ages.csv")


def test_a_column_of_measured_numbers_is_refused_in_one_line_with_the_way_out() -> None:
    with pytest.raises(
        DataError, match=r"the labels are 50 different numbers in 50 rows, such as 0\.25\. Only"
    ) as caught:
        refuse_numbers([str(number + 0.25) for number in range(50)], TABLE)
    assert "\n" not in str(caught.value) and "regression" in str(caught.value) and "data.label=" in str(caught.value)


@pytest.mark.parametrize(
    "labels",
    [
        [str(number) for number in range(50)],
        [f"{number}.0" for number in range(50)],
        ["0.5", "1.0", "1.5"] * 3,
        [str(number / 4) for number in range(20)] * 20,
        [f"v{number}.5" for number in range(50)],
        ["0.5", "2.25", "other"] * 5 + [str(number / 8) for number in range(30)],
    ],
    ids=["whole numbers", "written with a point", "few", "each of many rows", "names", "a word among them"],
)
def test_numbers_that_may_be_classes_are(labels: list[str]) -> None:
    refuse_numbers(labels, TABLE)
