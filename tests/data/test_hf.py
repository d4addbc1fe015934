"""Sets that the package datasets reads: the places of their pictures in Arrow files, and what their columns say."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import datasets
import pytest
from packs import CLASSES, HERE, RUN, Drawn, as_folders, as_parquet, as_rows, by_content, drawn
from shared import Ended, fingerprint

from trainer.data.folder import folder
from trainer.data.hf import hf
from trainer.data.source import Source
from trainer.errors import ConfigError, DataError

Command = Callable[..., Ended]
Opened = Callable[..., Source]
NAMED = datasets.ClassLabel(names=["a", "b"])


@pytest.fixture
def opened(tmp_path: Path) -> Opened:
    """The data part, which keeps what it makes of Parquet files in tmp_path/cache."""
    return partial(hf, cache_dir=str(tmp_path / "cache"))


@pytest.fixture
def pictures() -> list[Drawn]:
    return list(drawn(30))


def written(root: Path, columns: dict[str, list[Any]], features: dict[str, Any]) -> str:
    """A set of these columns beside a picture, saved to disk."""
    count = len(next(iter(columns.values())))
    images = [{"bytes": each.content, "path": None} for each in drawn(count)]
    of_all = datasets.Features({"image": datasets.Image(), **features})
    datasets.Dataset.from_dict({"image": images, **columns}, of_all).save_to_disk(root)
    return str(root)


@pytest.mark.parametrize("how", ["parquet", "one file", "pattern", "saved", "several", "folders"])
def test_every_form_gives_the_pictures_and_labels_that_were_written(
    tmp_path: Path, pictures: list[Drawn], opened: Opened, how: str
) -> None:
    datasets.disable_progress_bars()
    root = tmp_path / "set"
    if how == "saved":
        as_rows(pictures).save_to_disk(root, num_shards=3)
    elif how == "several":
        datasets.DatasetDict({"train": as_rows(pictures)}).save_to_disk(root)
    elif how == "folders":
        as_folders(root, pictures)
    else:
        as_parquet(root, pictures)
    below = {"one file": "train-00000-of-00001.parquet", "pattern": "*.parquet"}.get(how, "")
    ours = opened(root=str(root / below), val="none")
    theirs = folder(root=str(as_folders(tmp_path / "folders", pictures)), val="none")
    assert ours.classes == theirs.classes == CLASSES
    assert by_content(ours.train, CLASSES) == by_content(theirs.train, CLASSES)
    assert ours.train.keys[3] == ("cat/0009.png" if how == "folders" else "train/0000003")


def test_splits_are_parts_by_their_names_or_as_said(tmp_path: Path, pictures: list[Drawn], opened: Opened) -> None:
    root = tmp_path / "set"
    for name, count in (("train", 30), ("validation", 12), ("test", 9)):
        as_parquet(root, pictures[:count], name)
    source = opened(root=str(root))
    assert source.test is not None and (len(source.train), len(source.val), len(source.test)) == (30, 12, 9)
    source = opened(root=str(root), parts={"train": "validation", "val": "test"})
    assert (len(source.train), len(source.val), source.test) == (12, 9, None)
    assert f"{root}: left out the splits train; data.parts says which are used." in source.notes
    with pytest.raises(ConfigError, match=r"no split 'valid'. Did you mean 'validation'\? There is train, validation"):
        opened(root=str(root), parts={"train": "train", "val": "valid"})
    with pytest.raises(ConfigError, match="it says no part"):
        opened(root=str(root), parts={})


def test_a_column_that_one_split_lacks_is_told(tmp_path: Path, pictures: list[Drawn], opened: Opened) -> None:
    rows, root = as_rows(pictures), tmp_path / "set"
    datasets.DatasetDict({"train": rows, "test": rows.remove_columns("label")}).save_to_disk(root)
    with pytest.raises(DataError, match=r"no column 'label'\. the split test of .* has the columns"):
        opened(root=str(root))


@pytest.mark.parametrize(
    ("column", "feature", "words", "classes", "labels"),
    [
        (["b", "a"], datasets.Value("string"), {}, ("a", "b"), [1, 0]),
        ([10, 9], datasets.Value("int64"), {}, ("9", "10"), [1, 0]),
        ([0, 2], datasets.ClassLabel(names=["z", "y", "x"]), {}, ("z", "x"), [0, 1]),
        ([[0, 1], []], datasets.List(datasets.ClassLabel(names=["z", "y"])), {"labels": "several"}, ("z", "y"), None),
        ([["b", "a"], []], datasets.List(datasets.Value("string")), {"labels": "several"}, ("a", "b"), None),
    ],
)
def test_labels_are_the_names_or_the_values_of_a_column(
    tmp_path: Path,
    opened: Opened,
    column: list[Any],
    feature: Any,
    words: dict[str, Any],
    classes: tuple[str, ...],
    labels: list[int] | None,
) -> None:
    source = opened(root=written(tmp_path / "set", {"label": column}, {"label": feature}), val="none", **words)
    assert source.classes == classes
    assert source.train.labels.tolist() == (labels or [[1, 1], [0, 0]])


def test_rows_of_one_group_stay_in_one_part(tmp_path: Path, opened: Opened) -> None:
    patients = [f"p{number // 4}" for number in range(24)]
    columns = {"label": [number % 2 for number in range(24)], "patient": patients}
    root = written(tmp_path / "set", columns, {"label": NAMED, "patient": datasets.Value("string")})
    source = opened(root=root, group="patient", val=0.3)
    assert source.train.groups and source.val.groups and not {*source.train.groups} & {*source.val.groups}
    with pytest.raises(DataError, match=r"data\.group: there is no column 'patent'\. Did you mean 'patient'"):
        opened(root=root, group="patent")


def test_a_part_without_labels_is_left_out_and_said(tmp_path: Path, pictures: list[Drawn], opened: Opened) -> None:
    hidden = as_rows(pictures).remove_columns("label").add_column("label", [-1] * 30).cast(as_rows(pictures).features)
    datasets.DatasetDict({"train": as_rows(pictures), "test": hidden}).save_to_disk(tmp_path / "set")
    source = opened(root=str(tmp_path / "set"))
    assert source.test is None and "The test part has no labels, so it is left out." in source.notes


def test_a_parquet_file_that_is_another_one_is_read_anew(tmp_path: Path, pictures: list[Drawn], opened: Opened) -> None:
    before = opened(root=str(as_parquet(tmp_path / "set", pictures)), val="none").train.version()
    assert opened(root=str(tmp_path / "set"), val="none").train.version() == before
    as_parquet(tmp_path / "set", list(drawn(30, seed=1)))
    assert opened(root=str(tmp_path / "set"), val="none").train.version() != before


@pytest.mark.parametrize(
    ("columns", "features", "words", "said"),
    [
        ({"kind": [0, 1]}, {"kind": NAMED}, {"label": "kint"}, r"no column 'kint'. Did you mean 'kind'\?.*image, kind"),
        ({"kind": [0, 1]}, {"kind": NAMED}, {"image": "kind"}, "data.image=kind: the column holds int64, and no pic"),
        ({"a": [0, 1], "b": [0, 1]}, {"a": NAMED, "b": NAMED}, {}, "data.label: which column is it?.*image, a, b"),
        ({"label": [[0], [1]]}, {"label": datasets.List(NAMED)}, {}, "are learnt with task=multi"),
        ({"kind": [0, 1]}, {"kind": NAMED}, {"label": "image"}, "the column holds no names, numbers or lists"),
        ({"label": [0, 0]}, {"label": NAMED}, {}, "only the class a. Two are needed"),
        ({"label": [0, None]}, {"label": NAMED}, {}, "train/0000001: has no label. So it is with 1 of 2 pictures"),
    ],
)
def test_columns_that_make_no_set_are_refused_in_one_line(
    tmp_path: Path, opened: Opened, columns: dict[str, Any], features: dict[str, Any], words: dict[str, Any], said: str
) -> None:
    root = written(tmp_path / "set", columns, features)
    with pytest.raises((DataError, ConfigError), match=said) as caught:
        opened(root=root, **words)
    assert "\n" not in str(caught.value)


def test_files_that_are_broken_or_not_there_are_refused_in_one_line(
    tmp_path: Path, pictures: list[Drawn], opened: Opened, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(DataError, match=r"data\.root: there is no .*/nowhere \(looked from"):
        opened(root=str(tmp_path / "nowhere"))
    file = as_parquet(tmp_path / "set", pictures) / "train-00000-of-00001.parquet"
    file.write_bytes(file.read_bytes()[:900])
    with pytest.raises(DataError, match=r"data\.root: .*/set: .*magic bytes not found") as caught:
        opened(root=str(tmp_path / "set"))
    assert "\n" not in str(caught.value) and capfd.readouterr().err == ""


def test_a_hub_that_does_not_answer_is_told_in_one_line(opened: Opened, monkeypatch: pytest.MonkeyPatch) -> None:
    def unreachable(place: str, *_: object, **__: object) -> None:
        raise ConnectionError(f"Couldn't reach '{place}' on the Hub\nand more")

    monkeypatch.setattr(datasets, "load_dataset", unreachable)
    with pytest.raises(DataError) as caught:
        opened(root="owner/flowers")
    assert str(caught.value) == (
        "data.root: owner/flowers is no folder or file here, and the hub does not give it: Couldn't reach "
        "'owner/flowers' on the Hub."
    )


def test_without_the_package_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "datasets", None)
    with pytest.raises(ConfigError, match=r"pip install 'trainer\[hf\]'"):
        hf(root=str(tmp_path))


@pytest.mark.slow
def test_a_run_killed_amid_parquet_goes_on_bit_identical(spawn: Command, tmp_path: Path, pictures: list[Drawn]) -> None:
    root = as_parquet(tmp_path / "set", pictures)
    kept = f"data.cache_dir={tmp_path / 'cache'}"
    words = ("data=hf", f"data.root={root}", "data.cache=none", "save_every=2", *RUN, *HERE, kept)
    assert spawn(*words, "workers=1", "name=unbroken", tiny=False).code == 0
    assert spawn(*words, "workers=0", "name=killed", tiny=False, fault="kill@step=7").code == -9
    ended = spawn(*words, "workers=1", "name=killed", "resume=auto", tiny=False)
    assert ended.code == 0 and "Goes on after step 6, in epoch 2." in ended.out
    outputs = tmp_path / "outputs"
    assert fingerprint(outputs / "killed") == fingerprint(outputs / "unbroken")


def test_parquet_that_comes_by_gives_what_it_gives_from_the_disk(
    tmp_path: Path, pictures: list[Drawn], opened: Opened
) -> None:
    root = as_parquet(tmp_path / "set", pictures)
    here, passing = opened(root=str(root), val="none"), opened(root=str(root), val="none", streaming=True)
    assert passing.classes == CLASSES
    assert by_content(passing.train, CLASSES) == by_content(here.train, CLASSES)
    assert not (tmp_path / "cache" / "arrow" / "parquet").exists() and passing.train.keys[3] == "train/00000/0000003"


@pytest.mark.slow
def test_a_run_killed_amid_a_stream_of_parquet_goes_on_bit_identical(
    spawn: Command, tmp_path: Path, pictures: list[Drawn]
) -> None:
    root = as_parquet(tmp_path / "set", pictures)
    words = ("data=hf", f"data.root={root}", "data.streaming=true", "data.buffer=8", "save_every=2", *RUN, *HERE)
    words += (f"data.cache_dir={tmp_path / 'cache'}",)
    assert spawn(*words, "workers=0", "name=unbroken", tiny=False).code == 0
    assert spawn(*words, "workers=1", "name=killed", tiny=False, fault="kill@step=7").code == -9
    ended = spawn(*words, "workers=0", "name=killed", "resume=auto", tiny=False)
    assert ended.code == 0 and "Goes on after step 6, in epoch 2." in ended.out
    outputs = tmp_path / "outputs"
    assert fingerprint(outputs / "killed") == fingerprint(outputs / "unbroken")
