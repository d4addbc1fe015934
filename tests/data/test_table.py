"""Tables of paths and labels: what they may look like, and what is refused with its line."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from shared import Ended, open_store

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
        (
            rows(*[f"{line},{int(line[0]) % 3}" for line in TEN], head="path,kind,rest"),
            "as kind, rest might.*data.label=COLUMN",
        ),
        (
            rows(*[f"{line}.no" for line in TEN], head="class,file").replace("png", "gif"),
            "no column of files that are there",
        ),
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


def read(photos: Path, text: str | bytes, **words: object) -> dict[str, str]:
    """Which label each image has, by its key, of all parts; read from this table."""
    path = photos / "table.txt"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    source = table(file=str(path), **words)  # type: ignore[arg-type]
    parts = [part for part in (source.train, source.val, source.test) if part is not None]
    pairs = [pair for part in parts for pair in zip(part.keys, part.labels.tolist(), strict=True)]
    return {key: source.classes[label] for key, label in sorted(pairs)}


EXPECTED = {f"{index}.png": "cat" if index % 2 else "dog" for index in range(10)}


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """As photos, for all of a property's cases."""
    place = tmp_path_factory.mktemp("photos")
    for index in range(10):
        Image.new("RGB", (12, 10), (10 * index, 0, 0)).save(place / f"{index}.png")
    return place


@pytest.mark.slow
@given(
    delimiter=st.sampled_from("\t,;| "),
    encoding=st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "utf-32"]),
    newline=st.sampled_from(["\n", "\r\n"]),
    head=st.sampled_from([["path", "label"], ["id", "breed"], ["image_id", "class"], None]),
    ending=st.booleans(),
    quoted=st.booleans(),
    turned=st.booleans(),
)
def test_a_table_is_read_whatever_divides_encodes_and_heads_it(
    shared: Path,
    delimiter: str,
    encoding: str,
    newline: str,
    head: list[str] | None,
    ending: bool,
    quoted: bool,
    turned: bool,
) -> None:
    lines = [list(pair) for pair in EXPECTED.items()]
    if not ending:
        lines = [[name.removesuffix(".png"), label] for name, label in lines]
    lines = [line[::-1] if turned else line for line in [*([head] if head else []), *lines]]
    mark = '"' if quoted else ""
    text = newline.join(delimiter.join(f"{mark}{cell}{mark}" for cell in line) for line in lines)
    assert read(shared, text.encode(encoding)) == EXPECTED


@pytest.mark.parametrize(
    "text",
    [
        "sep=;\n" + rows(*TEN).replace(",", ";"),
        rows(*[f"{line}," for line in TEN], head="path,label,"),
        rows(*[f"{line}," for line in TEN]),
        rows(*[line.replace(",", ", ") for line in TEN], head="path, label"),
        rows(*[f"{index},{line}" for index, line in enumerate(TEN)], head=",path,label"),
        rows(*[f"{index},{line}" for index, line in enumerate(TEN)], head=",file,kind"),
        rows(*[f"{line},x" for line in TEN], head="file,kind,always the same"),
        rows(*[f"{line},{index}" for index, line in enumerate(TEN)], head="file,kind,always another"),
    ],
)
def test_what_spreadsheets_and_pandas_add_does_no_harm(photos: Path, text: str) -> None:
    assert read(photos, text) == EXPECTED


def test_backslashes_and_folders_below_lead_to_the_files(photos: Path) -> None:
    (photos / "a" / "b").mkdir(parents=True)
    for index in range(10):
        (photos / f"{index}.png").rename(photos / "a" / "b" / f"{index}.png")
    expected = {f"a/b/{name}": label for name, label in EXPECTED.items()}
    assert read(photos, rows(*[f"a\\b\\{line}" for line in TEN])) == expected
    assert read(photos, rows(*TEN)) == expected
    assert read(photos, rows(*[f"b/{line}" for line in TEN])) == expected
    assert read(photos, "\n".join(line.replace(".png", "") for line in TEN)) == expected


def test_columns_of_one_class_each_give_the_class_that_is_1(photos: Path) -> None:
    kinds = ["1,0,0", "0,1.0,0", "FALSE,false,True"]
    lines = [f"{index}.png,{kinds[index % 3]}" for index in range(9)]
    expected = {f"{index}.png": "abc"[index % 3] for index in range(9)}
    assert read(photos, rows(*lines, head="image,a,b,c")) == expected
    aged = rows(*[f"{line},{index % 4}" for index, line in enumerate(lines)], head="image,a,b,c,age")
    with pytest.raises(DataError, match=r"as a, b, c, age might.*'data.label=\[a,b,c\]'"):
        read(photos, aged)
    assert read(photos, aged, label=["a", "b", "c"]) == expected
    with pytest.raises(DataError, match=r"line 11: 1 in several columns, a, c. Several labels a picture"):
        read(photos, rows(*lines, "9.png,1,0,1", head="image,a,b,c"))
    with pytest.raises(DataError, match=r"line 11: none of a, b, c is 1"):
        read(photos, rows(*lines, "9.png,0,0,0", head="image,a,b,c"))
    assert read(photos, rows(*lines, "9.png,0,0,0", head="image,a,b,c"), on_error="skip") == expected
    with pytest.raises(DataError, match=r"line 4: '2' in column age is neither 0 nor 1"):
        read(photos, aged, label=["a", "age"])


def test_endings_are_found_or_asked_for_where_several_fit(photos: Path) -> None:
    ids = rows(*[line.replace(".png", "") for line in TEN], head="id,breed")
    assert read(photos, ids) == EXPECTED
    for index in range(10):
        Image.new("RGB", (12, 10)).save(photos / f"{index}.JPG")
    with pytest.raises(DataError, match=r"0 may be 0.JPG or 0.png.*data.ending=.JPG or data.ending=.png"):
        read(photos, ids)
    for ending in ("png", ".png"):
        assert read(photos, ids, ending=ending) == EXPECTED
    assert set(read(photos, ids, ending=".JPG")) == {f"{index}.JPG" for index in range(10)}


@pytest.mark.parametrize(
    "words", [("train", "val", "test"), ("Training", "PublicTest", "PrivateTest"), ("trn", "dev", "eval")]
)
def test_a_column_of_parts_is_found_by_its_words(photos: Path, words: tuple[str, str, str]) -> None:
    parts = [*[words[0]] * 6, *[words[1]] * 2, *[words[2]] * 2]
    lines = [f"{line},{part}" for line, part in zip(TEN, parts, strict=True)]
    source = table(file=write(photos, rows(*lines, head="path,label,used for")))
    assert source.test is not None and len(source.train) + len(source.val) + len(source.test) == 10
    assert {"8.png", "9.png"} <= set(source.test.keys)


@pytest.mark.parametrize("count", [3, 30])
def test_every_column_is_named_where_one_is_not_found(photos: Path, count: int) -> None:
    columns = [f"column_{number}" for number in range(count)]
    lines = [
        ",".join([line, *(str((index + number) % 3) for number in range(count))]) for index, line in enumerate(TEN)
    ]
    path = write(photos, rows(*lines, head=",".join(["file", "kind", *columns])))
    with pytest.raises(DataError, match=rf"no column 'colum_{count - 1}'. Did you mean 'column_{count - 1}'") as caught:
        table(file=path, label=f"colum_{count - 1}")
    assert all(
        column in str(caught.value).partition("Its first line names")[2] for column in ["file", "kind", *columns]
    )
    assert max(map(len, str(caught.value).splitlines()[1:]), default=0) <= 110


def test_the_path_and_the_label_that_are_missing_are_told_together_with_where_files_are(photos: Path) -> None:
    lines = [f"{line},{index % 3}" for index, line in enumerate(TEN)]
    (photos.parent / "lists").mkdir()
    path = photos.parent / "lists" / "a.csv"
    path.write_text(rows(*lines, head="file,kind,age"))
    with pytest.raises(DataError, match=rf"data.path=file data.root={photos}; it .*data.label=COLUMN.*file, kind, age"):
        table(file=str(path))
    assert len(table(file=str(path), path="file", root=str(photos), label="kind").train) == 8


def test_rows_without_file_or_label_are_left_out_on_request_counted_and_listed(
    train: Callable[..., Ended], photos: Path, tmp_path: Path
) -> None:
    text = rows(*TEN, "gone.png,cat", "0.png,", ",cat", "1.png")
    path = write(photos, text)
    words = ("data=table", f"data.file={path}", "model.widths=[4]", "epochs=1", "batch_size=4", "device=cpu", "name=x")
    ended = train(*words, tiny=False)
    assert ended.code == 3 and "line 15: not as many fields" in ended.err
    ended = train(*words, "data.on_error=skip", tiny=False)
    assert ended.code == 0, ended.err
    assert (
        "left out 4 of 14 rows (data.on_error=skip; all are in left_out.txt): 1 is not there, 1 has no label"
        in ended.out
    )
    listed = (tmp_path / "outputs/x/left_out.txt").read_text().splitlines()
    assert [line.removeprefix(f"{path}, ") for line in listed] == [
        "line 12: gone.png is not there",
        "line 13: 0.png has no label",
        "line 14: a row has no path",
        "line 15: a row has not as many fields as the first line",
    ]


def test_a_table_without_any_file_or_label_stays_an_error_under_skip(photos: Path) -> None:
    for text, refused in (
        (rows("a.png,cat", "b.png,dog"), "2 of 2 files are not there"),
        (rows("1.png,", "2.png,"), "empty"),
    ):
        with pytest.raises(DataError, match=refused):
            table(file=write(photos, text), on_error="skip")


def test_what_is_no_text_says_how_to_make_it_one(photos: Path) -> None:
    with pytest.raises(DataError, match=r"utf-8.*iconv -f cp1252"):
        read(photos, rows(*TEN).replace("cat", "käfer").encode("cp1252"))
    with pytest.raises(DataError, match=r"a spreadsheet or a zip.*Save it as CSV"):
        read(photos, b"PK\x03\x04" + bytes(100))


def test_a_part_of_a_table_that_lacks_a_class_is_told(photos: Path) -> None:
    lines = [f"{line},{'val' if index in (1, 3) else 'train'}" for index, line in enumerate(TEN)]
    source = table(file=write(photos, rows(*lines, head=SPLIT)))
    assert "The val part has no images of dog, so it tells nothing of them." in source.notes


@pytest.mark.slow
def test_how_a_table_is_read_may_be_said_otherwise_when_a_run_goes_on(
    train: Callable[..., Ended], photos: Path
) -> None:
    path = write(photos, rows(*TEN, head="file,kind"))
    words = (
        "data=table",
        f"data.file={path}",
        "model.widths=[4]",
        "batch_size=4",
        "device=cpu",
        "name=x",
        "resume=auto",
    )
    assert train(*words, "epochs=1", tiny=False).code == 0
    ended = train(*words, "epochs=2", "data.path=file", "data.label=kind", tiny=False)
    assert ended.code == 0, ended.err
    assert "Not bit-exact" not in ended.out
    write(photos, rows(*[f"{line},{int(line[0]) % 3}" for line in TEN], head="file,kind,rest"))
    ended = train(*words, "epochs=3", "data.path=file", "data.label=rest", tiny=False)
    assert ended.code in (3, 4) and "other classes" in ended.err
