"""Tables of paths and labels: what they may look like, and what is refused with its line."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import Ended, open_store
from PIL import Image

from trainer.data.table import table
from trainer.errors import DataError


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Ten images, i.png of the red value 10 * i."""
    (tmp_path / "photos").mkdir()
    for index in range(10):
        Image.new("RGB", (12, 10), (10 * index, 0, 0)).save(tmp_path / "photos" / f"{index}.png")
    return tmp_path / "photos"


def write(photos: Path, text: str, name: str = "labels.csv") -> str:
    (photos / name).write_text(text, encoding="utf-8")
    return str(photos / name)


def rows(*lines: str, head: str = "path,label") -> str:
    return "\n".join([head, *lines]) + "\n"


TEN = [f"{index}.png,{'cat' if index % 2 else 'dog'}" for index in range(10)]


def test_a_table_gives_paths_and_labels_and_holds_out_a_share(photos: Path) -> None:
    source = table(file=write(photos, rows(*TEN)), val=0.2)
    assert source.classes == ("cat", "dog") and (len(source.train), len(source.val), source.test) == (8, 2, None)
    images = next(open_store(source.train, cache="ram", workers=0).gather([source.train.labels.argsort()]))
    keys = [source.train.keys[index] for index in source.train.labels.argsort().tolist()]
    assert [int(key[0]) * 10 for key in keys] == images[:, 0, 0, 0].tolist()
    for key, label in zip(source.train.keys, source.train.labels.tolist(), strict=True):
        assert source.classes[label] == ("cat" if int(key[0]) % 2 else "dog")


def test_a_split_column_says_the_parts(photos: Path) -> None:
    words = ["train"] * 4 + ["Valid", "val", "test", "testing", "train", "training"]
    lines = [f"{line},{word}" for line, word in zip(TEN, words, strict=True)]
    source = table(file=write(photos, rows(*lines, head="path,label,split")))
    assert source.test is not None
    assert [sorted(part.keys) for part in (source.val, source.test)] == [["4.png", "5.png"], ["6.png", "7.png"]]
    assert len(source.train) == 6


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (rows(*TEN).replace(",", "\t"), {}),
        ("\ufeff" + rows(*TEN), {}),
        (rows(*TEN).replace("\n", "\r\n"), {}),
        (rows(*[f"{line},x" for line in TEN], head="path,label,comment"), {}),
        (rows(*[",".join(reversed(line.split(","))) for line in TEN], head="label,path"), {}),
        (rows(*TEN, head="file name,kind"), {"path": "file name", "label": "kind"}),
        (rows(*[f'"{line.split(",")[0]}","{line.split(",")[1]}"' for line in TEN]), {}),
        (rows(*[f"./{line}" for line in TEN]), {}),
    ],
)
def test_tables_may_be_written_in_many_ways(photos: Path, text: str, words: dict[str, str]) -> None:
    plain = table(file=write(photos, rows(*TEN)))
    other = table(file=write(photos, text, "other.tsv"), **words)
    assert list(other.train.keys) == list(plain.train.keys)
    assert other.train.labels.tolist() == plain.train.labels.tolist()


def test_paths_start_at_the_root_that_is_said_or_are_absolute(photos: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "labels.csv"
    elsewhere.write_text(rows(*TEN))
    assert len(table(file=str(elsewhere), root=str(photos)).train) == 8
    elsewhere.write_text(rows(*[f"{photos}/{line}" for line in TEN]))
    assert table(file=str(elsewhere)).train.image(0).shape == (3, 10, 10)


def test_an_ignored_label_is_no_class_and_stays_out_of_the_loss(photos: Path) -> None:
    source = table(file=write(photos, rows(*TEN[:8], "8.png,unknown", "9.png,unknown")), ignore="unknown", val=0.25)
    assert source.classes == ("cat", "dog")
    labels = dict(zip(source.train.keys, source.train.labels.tolist(), strict=True))
    labels |= dict(zip(source.val.keys, source.val.labels.tolist(), strict=True))
    assert [labels[f"{index}.png"] for index in (8, 9)] == [-1, -1] and min(labels[f"{i}.png"] for i in range(8)) == 0


def test_a_row_that_says_the_same_again_counts_once(photos: Path) -> None:
    source = table(file=write(photos, rows(*TEN, TEN[0], "x/../1.png,cat")))
    assert len(source.train) + len(source.val) == 10
    assert any("left out 2 rows" in note for note in source.notes)


SPLIT = "path,label,split"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (rows(*TEN, "0.png,cat"), r"0\.png is listed with two labels, dog in line 2 and cat in line 12"),
        (rows("0.png,a,train", "0.png,a,val", head=SPLIT), "0.png is listed with two parts, train in line 2 and val"),
        (rows("0.png,a,train", "1.png,b,train", "2.png,bb,val", head=SPLIT), "no training row has: bb.*Did you mean"),
        (rows(*TEN, "gone.png,cat"), r"1 of 11 files are not there.*gone\.png \(line 12\)"),
        (rows(*TEN, ".,cat"), "1 of 11 files are not there"),
        (rows(*TEN, head="paht,label"), "no column 'path'. Did you mean 'paht'.*data.path=COLUMN"),
        (rows(*TEN, head="path,class"), "no column 'label'.*Its first line names path, class"),
        (rows(*TEN, "9.png"), "line 12: not as many fields"),
        (rows(*TEN, "9.png,cat,more"), "line 12: not as many fields"),
        (rows(*TEN, "9.png,"), "line 12: the label is empty"),
        (rows(*TEN, ",cat"), "line 12: the path is empty"),
        (rows("0.png,a,tain", head=SPLIT), "'tain' is no part of a set. Did you mean 'train'"),
        (rows("0.png,a,val", "1.png,b,val", head=SPLIT), "no row is of the training part"),
        (rows("0.png,a", "1.png,a"), "1 labels, a. Two are needed"),
        ("", "names nothing"),
        ('path,label\n"0.png,cat\n', "cannot be read as a table"),
        ("path,label\n" + "x" * 200_000 + ",cat\n", "cannot be read as a table .field larger"),
    ],
)
def test_tables_that_make_no_set_are_refused_in_one_line(photos: Path, text: str, words: str) -> None:
    path = write(photos, text)
    with pytest.raises(DataError, match=words) as caught:
        table(file=path)
    assert "\n" not in str(caught.value) and path in str(caught.value)


def test_files_that_are_no_table_are_refused(photos: Path) -> None:
    with pytest.raises(DataError, match=r"cannot be read as a table .No such file"):
        table(file=str(photos / "gone.csv"))
    with pytest.raises(DataError, match="cannot be read as a table"):
        table(file=str(photos / "0.png"))
    os.mkfifo(photos / "pipe.png")
    with pytest.raises(DataError, match="not there"):
        table(file=write(photos, rows(*TEN, "pipe.png,cat")))


def test_a_column_or_a_label_that_is_asked_for_must_be_there(photos: Path) -> None:
    path = write(photos, rows(*TEN))
    with pytest.raises(DataError, match="no column 'part'"):
        table(file=path, split="part")
    with pytest.raises(DataError, match=r"no row of .* has this label. Did you mean 'cat'"):
        table(file=path, ignore="cart")


def test_a_run_trains_from_a_table_and_a_bad_one_leaves_nothing(
    train: Callable[..., Ended], photos: Path, tmp_path: Path
) -> None:
    words = ("data=table", "model.widths=[4]", "epochs=1", "batch_size=4", "device=cpu", "precision=fp32", "name=x")
    bad = write(photos, rows(*TEN, "gone.png,cat"), "bad.csv")
    ended = train(*words, f"data.file={bad}", tiny=False)
    assert ended.code == 3 and len(ended.err.splitlines()) == 1 and not (tmp_path / "outputs" / "x").exists()
    assert train(*words, f"data.file={write(photos, rows(*TEN))}", tiny=False).code == 0


def test_a_file_is_one_file_however_its_path_is_written(photos: Path) -> None:
    (photos / "link.png").symlink_to(photos / "1.png")
    for spelling in (str(photos / "1.png"), "./x/../1.png", "link.png"):
        with pytest.raises(DataError, match="listed with two labels, cat in line 3 and dog in line 12"):
            table(file=write(photos, rows(*TEN, f"{spelling},dog")))


def test_a_part_without_any_label_is_refused_since_it_can_judge_nothing(photos: Path) -> None:
    lines = [f"{line},train" for line in TEN[:8]] + [f"{index}.png,unknown,val" for index in (8, 9)]
    with pytest.raises(DataError, match="The validation part has 2 images and no label"):
        table(file=write(photos, rows(*lines, head="path,label,split")), ignore="unknown")


def test_columns_of_one_name_are_refused_and_blanks_around_a_label_do_not_count(photos: Path) -> None:
    with pytest.raises(DataError, match="several columns of one name: label"):
        table(file=write(photos, rows(*[f"{line},x" for line in TEN], head="path,label,label")))
    padded = [f"{line} " if index < 4 else line for index, line in enumerate(TEN)]
    assert table(file=write(photos, rows(*padded))).classes == ("cat", "dog")


def test_a_path_that_no_file_can_have_is_a_file_that_is_not_there(photos: Path) -> None:
    with pytest.raises(DataError, match="1 of 11 files are not there"):
        table(file=write(photos, rows(*TEN, "a\0b.png,cat")))
