"""Tables as people have them: Kaggle's usual ones, with their own names of columns and folders, in tiny."""

import re
import shlex
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from shared import Ended

Train = Callable[..., Ended]
TINY = ("model.widths=[2]", "epochs=1", "batch_size=4", "device=cpu", "precision=fp32", "workers=0")


@dataclass(frozen=True)
class Competition:
    """A data set in tiny. head: the first line; rows: what stands behind each id; then where its pictures are.

    first: what is typed; second: what is typed then, with what the first refusal says.
    """

    head: str
    rows: tuple[str, ...]
    classes: str
    folders: tuple[str, ...] = ("train",)
    ending: str = ".png"
    written: str = ""
    table: str = "train.csv"
    first: tuple[str, ...] = ("data=table", "data.file=SET/train.csv")
    second: tuple[str, ...] = ()
    beside: tuple[str, ...] = ()


USUAL = {
    "dog-breed-identification": Competition(
        "id,breed",
        ("boston_bull", "dingo"),
        "boston_bull, dingo",
        ("train",),
        ".jpg",
        table="labels.csv",
        first=("data=table", "data.file=SET/labels.csv"),
        beside=("test",),
    ),
    "dog-breed-identification, as a folder": Competition(
        "id,breed",
        ("boston_bull", "dingo"),
        "boston_bull, dingo",
        ("train",),
        ".jpg",
        table="labels.csv",
        first=("data=folder", "data.root=SET"),
        second=("data=table", "data.file=SET/labels.csv", "data.root=SET/train"),
        beside=("test",),
    ),
    "cassava-leaf-disease": Competition(
        "image_id,label", ("0", "3"), "0, 3", ("train_images",), ".jpg", ".jpg", beside=("test_images",)
    ),
    "plant-pathology-2020": Competition(
        "image_id,healthy,multiple_diseases,rust,scab",
        ("1,0,0,0", "0,1,0,0", "0,0,1,0", "0,0,0,1"),
        "healthy, multiple_diseases, rust, scab",
        ("images",),
        ".jpg",
    ),
    "plant-pathology-2021": Competition(
        "image,labels", ("scab rust", "healthy"), "healthy, scab rust", ("train_images",), ".jpg", ".jpg"
    ),
    "aerial-cactus": Competition("id,has_cactus", ("1", "0"), "0, 1", ("train/train",), ".jpg", ".jpg"),
    "aptos2019": Competition("id_code,diagnosis", ("0", "2", "4"), "0, 2, 4", ("train_images",)),
    "histopathologic-cancer": Competition(
        "id,label",
        ("0", "1"),
        "0, 1",
        ("train",),
        ".tif",
        table="train_labels.csv",
        first=("data=table", "data.file=SET/train_labels.csv"),
        beside=("test",),
    ),
    "petfinder-pawpularity": Competition(
        "Id,Eyes,Face,Blur,Pawpularity",
        ("1,1,0,63", "0,1,0,42", "1,0,1,63", "1,1,1,42"),
        "42, 63",
        ("train",),
        ".jpg",
        second=("data=table", "data.file=SET/train.csv", "data.label=Pawpularity"),
    ),
    "skin-cancer-ham10000": Competition(
        "lesion_id,image_id,dx,age",
        ("bkl,80", "nv,75", "nv,80", "bkl,75"),
        "bkl, nv",
        ("part_1", "part_2"),
        ".jpg",
        second=("data=table", "data.file=SET/train.csv", "data.label=dx"),
        written="HAM_",
    ),
    "isic-2018": Competition(
        "image,MEL,NV,BCC",
        ("1.0,0.0,0.0", "0.0,1.0,0.0", "0.0,0.0,1.0"),
        "BCC, MEL, NV",
        ("input",),
        ".jpg",
    ),
    "one-hot columns beside others": Competition(
        "image,MEL,NV,age",
        ("1,0,50", "0,1,50", "1,0,60", "0,1,70"),
        "MEL, NV",
        ("input",),
        ".jpg",
        second=("data=table", "data.file=SET/train.csv", "data.label=[MEL,NV]"),
    ),
    "pandas with its index": Competition(
        ",filename,species", ("Wale", "Orca"), "Orca, Wale", ("pictures",), ".jpeg", ".jpeg"
    ),
    "a table of semicolons": Competition("bild;klasse", ("Käfer", "Biene"), "Biene, Käfer", (".",), ".jpg", ".jpg"),
}


def build(place: Path, name: str, what: Competition) -> None:
    """Twelve pictures, those of a part beside with ids of their own."""
    sign = ";" if ";" in what.head else ","
    lines = [what.head]
    for number in range(12):
        key = f"{number:03}a{number * 7919:x}"
        save(place / what.folders[number % len(what.folders)] / f"{key}{what.ending}", number)
        row = what.rows[number % len(what.rows)].replace(",", sign)
        before = {"skin-cancer-ham10000": f"HAM_{number // 2},", "pandas with its index": f"{number},"}.get(name, "")
        ending = what.written if what.written.startswith(".") else ""
        lines.append(f"{before}{key}{ending}{sign}{row}")
    for folder in what.beside:
        save(place / folder / f"zz1{what.ending}", 99)
    (place / what.table).write_text("\n".join(lines), encoding="utf-8")
    (place / "sample_submission.csv").write_text("id,label\n")


def save(path: Path, seed: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.random.default_rng(seed).integers(0, 256, (9, 9, 3), dtype=np.uint8)).save(path)


def said_in(message: str, words: Iterable[str], place: Path) -> bool:
    """Whether each of the words stands in the message, if only with COLUMN for the name of a column listed there."""
    for word in words:
        key, _, value = word.partition("=")
        value = value.replace("SET", str(place))
        if word in message or f"{key}={value}" in message:
            continue
        if not (f"{key}=COLUMN" in message and re.search(rf"\b{re.escape(value)}\b", message)):
            return False
    return True


@pytest.mark.slow
@pytest.mark.parametrize("name", USUAL)
def test_the_usual_tables_of_kaggle_load_in_two_tries_at_most(train: Train, tmp_path: Path, name: str) -> None:
    what, place = USUAL[name], tmp_path / "set"
    build(place, name, what)

    def run(words: tuple[str, ...]) -> Ended:
        return train(*TINY, *[word.replace("SET", str(place)) for word in words], tiny=False)

    ended = run(what.first)
    if what.second:
        assert ended.code == 3
        new = [word for word in what.second if word not in what.first]
        assert said_in(ended.err, new, place), ended.err
        ended = run(what.second)
    assert ended.code == 0, ended.err
    number = what.classes.count(",") + 1
    assert f"{number} classes ({what.classes})" in ended.out
    assert "10 train" in ended.out or "9 train" in ended.out or "8 train" in ended.out, ended.out


@pytest.mark.slow
def test_ids_that_lie_in_two_folders_are_refused_with_the_root_that_tells(train: Train, tmp_path: Path) -> None:
    for part in ("train", "test"):
        for number in range(8):
            save(tmp_path / part / f"{number}.jpg", number)
    table = tmp_path / "train.csv"
    table.write_text("id,label\n" + "".join(f"{number},{'ab'[number % 2]}\n" for number in range(8)))
    ended = train(*TINY, "data=table", f"data.file={table}", tiny=False)
    assert ended.code == 3 and "0 lies in test and in train" in ended.err
    words = re.search(r"data\.root=\S+", ended.err)
    assert words
    ended = train(*TINY, "data=table", f"data.file={table}", *shlex.split(words[0]), tiny=False)
    assert ended.code == 0


def test_links_that_predict_has_sorted_beside_a_table_are_no_second_place(train: Train, tmp_path: Path) -> None:
    for number in range(20):
        save(tmp_path / "images" / f"{number}.jpg", number)
        link = tmp_path / "elsewhere" / "ab"[number % 2] / f"{number}.jpg"
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(tmp_path / "images" / f"{number}.jpg")
    table = tmp_path / "train.csv"
    table.write_text("id,label\n" + "".join(f"{number},{'ab'[number % 2]}\n" for number in range(20)))
    ended = train(*TINY, "data=table", f"data.file={table}", tiny=False)
    assert ended.code == 0 and "paths below images in column id" in ended.out, ended.err
