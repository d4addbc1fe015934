"""Tables whose pictures have several labels: what they may look like, and what is refused, through the command line."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from PIL import Image
from shared import Ended

from trainer.data.source import Source
from trainer.data.table import table
from trainer.inference.multi.words import labels_in_words

HOT = "path,cat,dog\n" + "".join(f"{index}.png,{index % 2},{int(index % 3 == 0)}\n" for index in range(12))
LISTS = "path,label\n" + "".join(f"{index}.png,{('cat', 'dog', 'cat|dog', '')[index % 4]}\n" for index in range(12))
ROWS = "path,label\n" + "".join(f"{index}.png,{('dog', 'cat')[index % 2]}\n" for index in range(12)) + "3.png,dog\n"
SPLIT = "path,cat,dog,bird,split\n" + "".join(
    f"{index}.png,{index % 2},1,{int(index == 9)},{'val' if index > 7 else 'train'}\n" for index in range(12)
)
DIG = "1.png,dig,val"


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    (tmp_path / "photos" / "folder").mkdir(parents=True)
    for index in range(12):
        Image.new("RGB", (12, 12), (10 * index, 0, 0)).save(tmp_path / "photos" / f"{index}.png")
    return tmp_path / "photos"


Said = Callable[..., Ended]


@pytest.fixture
def said(train: Callable[..., Ended], photos: Path) -> Said:
    """Trains on a table of this text; what else is said comes after task=multi."""

    def command(text: str, *words: str) -> Ended:
        (photos / "labels.csv").write_text(text, encoding="utf-8")
        own = ("data=table", f"data.file={photos / 'labels.csv'}", "task=multi", "model.widths=[4]", "epochs=1")
        return train(*own, "batch_size=4", "device=cpu", "preset=none", *words, tiny=False)

    return command


def several(photos: Path, text: str, **words: object) -> Source:
    (photos / "labels.csv").write_text(text, encoding="utf-8")
    return table(file=str(photos / "labels.csv"), labels="several", val=0.25, **words)  # type: ignore[arg-type]


def labels_of(source: Source) -> dict[str, list[int]]:
    parts = (source.train, source.val)
    return {key: row for part in parts for key, row in zip(part.keys, part.labels.tolist(), strict=True)}


@pytest.mark.parametrize(
    ("text", "words", "expected"),
    [
        (HOT, {}, {"0.png": [0, 1], "1.png": [1, 0], "2.png": [0, 0], "3.png": [1, 1]}),
        (LISTS, {"separator": "|"}, {"0.png": [1, 0], "1.png": [0, 1], "2.png": [1, 1], "3.png": [0, 0]}),
        (ROWS, {"several_rows": True}, {"0.png": [0, 1], "1.png": [1, 0], "2.png": [0, 1], "3.png": [1, 1]}),
    ],
)
def test_a_table_says_several_labels_in_three_ways(
    photos: Path, text: str, words: dict[str, object], expected: dict[str, list[int]]
) -> None:
    source = several(photos, text, **words)
    assert source.classes == ("cat", "dog") and expected.items() <= labels_of(source).items()


def test_what_is_unknown_is_so_label_by_label(photos: Path) -> None:
    text = HOT.replace("3.png,1,1", "3.png,?,1").replace("5.png,1,0", "5.png,?,?")
    source = several(photos, text, ignore="?")
    labels = labels_of(source)
    assert labels["3.png"] == [-1, 1] and labels["5.png"] == [-1, -1] and labels["1.png"] == [1, 0]
    assert any("4 of 12 have none; of 2 some are unknown" in note for note in source.notes)


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ({"1.png": "cat|?", "2.png": "?", "3.png": "? | dog"}, {"1.png": [1, -1], "2.png": [-1, -1], "3.png": [-1, 1]}),
        ({"1.png": "cat|?dog", "2.png": "?bird"}, {"1.png": [1, -1], "2.png": [0, 0]}),
    ],
)
def test_a_list_says_what_is_unknown_of_all_others_or_of_one(
    photos: Path, words: dict[str, str], expected: dict[str, list[int]]
) -> None:
    rows = [f"{index}.png,{words.get(f'{index}.png', ('cat', 'dog')[index % 2])}\n" for index in range(12)]
    source = several(
        photos, "path,label\n" + "".join(rows), separator="|", ignore="?" if "?" in words.values() else None
    )
    assert source.classes == ("cat", "dog") and expected.items() <= labels_of(source).items()


def test_a_row_that_knows_nothing_takes_no_label_from_another(photos: Path) -> None:
    text = ROWS.replace("3.png,dog\n", "3.png,?\n0.png,\n")
    labels = labels_of(several(photos, text, several_rows=True, ignore="?"))
    assert labels["3.png"] == [1, -1] and labels["0.png"] == [0, 1]


def test_a_row_without_a_label_is_of_a_picture_without_one_unless_another_row_names_one(photos: Path) -> None:
    labels = labels_of(several(photos, ROWS.replace("5.png,cat", "5.png,") + "4.png,\n", several_rows=True))
    assert labels["5.png"] == [0, 0] and labels["4.png"] == [0, 1]


def test_what_an_evaluation_has_written_is_a_table_of_the_same_labels(photos: Path) -> None:
    classes = ["?why", "a|b", "back\\slash", "plain"]
    labels = torch.randint(-1, 2, (12, 4), generator=torch.Generator().manual_seed(0)).to(torch.int8)
    cells = labels_in_words(labels, classes)
    text = "path,labels,prediction\n" + "".join(f"{index}.png,{cell},plain\n" for index, cell in enumerate(cells))
    source = several(photos, text, label="labels", separator="|")
    assert source.classes == tuple(classes)
    assert labels_of(source) == {f"{index}.png": row for index, row in enumerate(labels.tolist())}


@pytest.mark.slow
def test_how_many_labels_pictures_have_is_told_and_that_some_have_none(said: Said) -> None:
    ended = said(LISTS, "data.separator='|'")
    assert ended.code == 0, ended.err
    assert "Several labels a picture: 1.00 on average, 2 at most; 3 of 12 have none.\n" in ended.out
    assert "labels in the columns cat, dog, each of which is 1 or 0.\n" in said(HOT).out


@pytest.mark.parametrize(
    ("text", "words", "told"),
    [
        (
            HOT + "2.png,1,1\n",
            (),
            "2.png is listed with two labels, no label in line 4 and cat and dog in line 14. Remove one, or say "
            "data.several_rows=true.",
        ),
        (
            SPLIT,
            (),
            "the val rows have labels that no training row has: bird. Mend them, or add such rows to the training",
        ),
        (
            SPLIT.replace("cat,dog,bird", "cat,dog,other").replace("9.png,1,1,1,val", "9.png,1,1,0,val"),
            ("data.label=[cat,dog,other]",),
            "no training row has the label other, so that nothing can be learnt of it. Leave the column out: "
            "data.label=[cat,dog]",
        ),
        (
            LISTS.replace("\n", ",train\n").replace("label,train", "label,split").replace("1.png,dog,train", DIG),
            ("data.separator=|",),
            "the val rows have labels that no training row has: dig. Did you mean 'dog'? Mend them",
        ),
        (LISTS, (), "'cat|dog' may be several labels. Say what stands between: data.separator='|'"),
        (LISTS, ("data.separator=;",), "'cat|dog' may be several labels. Say what stands between: data.separator='|'"),
        (
            HOT.replace("3.png,1", "3.png,maybe"),
            ("data.label=[cat,dog]",),
            "line 5: 'maybe' in column cat is neither 0 nor 1: where it is unknown, say data.ignore=maybe; where one "
            "column has all labels of a row, data.label=COLUMN data.separator='|'",
        ),
        (
            HOT.replace("3.png,1", "3.png,?").replace("4.png,0", "4.png,?").replace("3.png,?,1", "3.png,?,?"),
            (),
            "does not tell which column holds the label, as cat, dog might. Say which: data.label=COLUMN, or the "
            "columns of one label each, with task=multi: 'data.label=[cat,dog]'. Its first line names path, cat, dog",
        ),
        (HOT, ("data.separator=|",), "data.separator: it acts within one column of labels, and there are several."),
        (
            "path,label\n" + "".join(f"{index}.png,\n" for index in range(12)),
            ("data.label=label",),
            "no training row has a label, so there is nothing to learn. Fill some in.",
        ),
    ],
)
def test_a_table_that_is_no_set_of_several_labels_is_refused_in_one_line(
    said: Said, text: str, words: tuple[str, ...], told: str
) -> None:
    ended = said(text, *words)
    assert ended.code in (2, 3) and told in ended.err and ended.err.count("\n") == 1


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (
            ("task=single", "data.separator=|"),
            "data.separator: it acts where a picture may have several labels. Say task=multi, or leave it out.",
        ),
        (
            ("task=single", "data.several_rows=true"),
            "data.several_rows: it acts where a picture may have several labels. Say task=multi, or leave it out.",
        ),
        (
            ("task=single", "data.labels=several"),
            "data.labels: several is not what task=single learns. Say task=multi, or data.labels=one.",
        ),
        (
            ("data.labels=one",),
            "data.labels: one is not what task=multi learns. Say task=single, or data.labels=several.",
        ),
        (
            ("loss=cross_entropy",),
            "loss: cross_entropy asks for the one class of a picture, and with task=multi it may have several. Use "
            "loss=binary_cross_entropy or loss=focal.",
        ),
        (("monitor=val_accuracy",), "monitor: val_accuracy is no score of task=multi. Use val_map, val_loss or null."),
        (("task.threshold=2",), "task.threshold: 2 is not a number between 0 and 1"),
    ],
)
def test_words_that_contradict_the_task_are_refused_in_one_line(said: Said, words: tuple[str, ...], told: str) -> None:
    ended = said(LISTS, *words)
    assert ended.code == 2 and told in ended.err and ended.err.count("\n") == 1


def test_a_loss_that_takes_no_mixed_labels_is_refused_with_one_that_does(said: Said) -> None:
    ended = said(LISTS, "data.separator=|", "loss=focal", "aug.mixup=0.2")
    assert ended.code == 2 and ended.err.endswith("or choose another loss: loss=binary_cross_entropy.\n")


def test_a_validation_part_without_any_of_the_labels_is_told(said: Said) -> None:
    rows = [f"{index}.png,{index % 2 * (index < 8)},{int(index in (2, 3))}" for index in range(12)]
    parts = [",train" if index < 8 else ",val" for index in range(12)]
    ended = said("\n".join(["path,cat,dog,split", *map("".join, zip(rows, parts, strict=True))]))
    assert ended.code == 0, ended.err
    assert "Validation has no image with any of the labels: every epoch scores 0. Label some, or validate" in ended.out


def test_class_folders_have_one_label_a_picture(train: Callable[..., Ended], photos: Path) -> None:
    for name in ("cat", "dog"):
        (photos / "set" / name).mkdir(parents=True)
        for index in range(4):
            Image.new("RGB", (12, 12), (20 * index, 0, 0)).save(photos / "set" / name / f"{index}.png")
    ended = train("data=folder", f"data.root={photos / 'set'}", "task=multi", "device=cpu", "preset=none", tiny=False)
    assert ended.code == 2 and ended.err.count("\n") == 1
    assert "these pictures have one label each, and task=multi learns several. Use data=table" in ended.err
    assert "or say task=single." in ended.err
