"""Tar shards: read by the places of their pictures, as if each were a file, in any order."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from packs import CLASSES, HERE, RUN, Drawn, as_folders, as_shards, by_content, drawn, numbered
from shared import Ended, fingerprint

from trainer.cli.main import main
from trainer.data import shards
from trainer.data.folder import folder
from trainer.data.source import Source
from trainer.data.webdataset import webdataset
from trainer.errors import ConfigError, DataError

Command = Callable[..., Ended]
Opened = Callable[..., Source]


@pytest.fixture
def opened(tmp_path: Path) -> Opened:
    """The data part, which keeps what it finds in tmp_path/cache."""
    return partial(webdataset, cache_dir=str(tmp_path / "cache"))


@pytest.fixture
def pictures() -> list[Drawn]:
    return list(drawn(30))


def test_shards_give_the_pictures_and_labels_that_were_written(
    tmp_path: Path, pictures: list[Drawn], opened: Opened
) -> None:
    root = as_shards(tmp_path / "set", numbered(pictures))
    (root / "classes.txt").write_text("\n".join(CLASSES))
    ours = opened(root=str(root), val="none")
    theirs = folder(root=str(as_folders(tmp_path / "folders", pictures)), val="none")
    assert ours.classes == theirs.classes == CLASSES
    assert by_content(ours.train, CLASSES) == by_content(theirs.train, CLASSES)
    assert list(ours.train.keys)[10] == "train-001.tar/0010.png"


@pytest.mark.parametrize(
    "pattern", ["set", "set/{train,val}-{000..002}.tar", "set/*.tar", "set/train-*.tar::set/val-*.tar"]
)
def test_shards_are_named_by_a_folder_or_a_pattern_and_their_names_say_the_part(
    tmp_path: Path, pictures: list[Drawn], pattern: str, monkeypatch: pytest.MonkeyPatch, opened: Opened
) -> None:
    as_shards(tmp_path / "set", numbered(pictures))
    as_shards(tmp_path / "set", numbered(pictures), "val")
    monkeypatch.chdir(tmp_path)
    source = opened(root=pattern)
    assert (len(source.train), len(source.val), source.test) == (30, 30, None)


def test_folders_around_the_shards_may_say_the_part_too(tmp_path: Path, pictures: list[Drawn], opened: Opened) -> None:
    as_shards(tmp_path / "set" / "train", numbered(pictures), "imagenet")
    as_shards(tmp_path / "set" / "test", numbered(pictures), "imagenet")
    source = opened(root=str(tmp_path / "set" / "*" / "*.tar"), val=0.2)
    assert source.test is not None and (len(source.train), len(source.val), len(source.test)) == (24, 6, 30)
    assert source.test.keys[0] == "test/imagenet-000.tar/0000.png"


@pytest.mark.parametrize(
    ("sample", "words", "classes"),
    [
        ({"cls": 1}, {}, ("1",)),
        ({"cls": 1}, {"classes": ["ant", "bee"]}, ("bee",)),
        ({"txt": "bee"}, {"label": "txt"}, ("bee",)),
        ({"json": {"label": "bee", "id": 3}}, {}, ("bee",)),
        ({"json": {"kind": 4, "label": None}}, {"label": "json.kind"}, ("4",)),
        ({"json": ["ant", "bee"]}, {"labels": "several"}, ("ant", "bee")),
        ({"json": {"labels": [1, 0]}}, {"labels": "several", "classes": ["ant", "bee"]}, ("ant", "bee")),
    ],
)
def test_a_label_is_a_file_of_the_sample_or_a_field_of_its_json(
    tmp_path: Path,
    pictures: list[Drawn],
    sample: dict[str, Any],
    words: dict[str, Any],
    classes: tuple[str, ...],
    opened: Opened,
) -> None:
    as_shards(tmp_path / "set", [{"png": pictures[0].content, **sample}])
    source = opened(root=str(tmp_path / "set"), val="none", **words)
    assert source.classes == classes
    assert source.train.labels.tolist() == ([[1] * len(classes)] if "labels" in words else [0])


def test_numbers_are_classes_in_their_own_order(tmp_path: Path, pictures: list[Drawn], opened: Opened) -> None:
    as_shards(tmp_path / "set", [{"png": pictures[0].content, "cls": label} for label in (10, 2, 1)])
    assert opened(root=str(tmp_path / "set"), val="none").classes == ("1", "2", "10")


def test_samples_of_one_group_stay_in_one_part(tmp_path: Path, pictures: list[Drawn], opened: Opened) -> None:
    samples = [{**sample, "__key__": f"p{number // 5}_{number}"} for number, sample in enumerate(numbered(pictures))]
    source = opened(root=str(as_shards(tmp_path / "set", samples)), group=r"/(p\d+)_", val=0.3)
    assert source.train.groups and source.val.groups and not {*source.train.groups} & {*source.val.groups}
    with pytest.raises(
        DataError, match=r"data\.group: '\(q\)' is found in no picture's path, such as train-000\.tar/p0_0"
    ):
        opened(root=str(tmp_path / "set"), group="(q)")


def test_of_several_pictures_in_a_sample_one_must_be_said(
    tmp_path: Path, pictures: list[Drawn], opened: Opened
) -> None:
    content = pictures[0].content
    as_shards(tmp_path / "set", [{"left.png": content, "right.png": content, "cls": label} for label in (0, 1)])
    with pytest.raises(DataError, match=r"0000\.left\.png and .*0000\.right\.png.*data\.image=left\.png"):
        opened(root=str(tmp_path / "set"))
    assert opened(root=str(tmp_path / "set"), image="right.png", val="none").train.keys[1].endswith(".right.png")


def test_a_shard_is_read_through_once_until_it_is_another_one(
    tmp_path: Path, pictures: list[Drawn], monkeypatch: pytest.MonkeyPatch, opened: Opened
) -> None:
    read: list[Path] = []
    index = shards._index
    monkeypatch.setattr(shards, "_index", lambda shard, *rest: read.append(shard) or index(shard, *rest))
    root = as_shards(tmp_path / "set", numbered(pictures))
    before, kept = opened(root=str(root), val="none").train.version(), tmp_path / "cache" / "shards"
    assert len(read) == 3 == len(list(kept.iterdir()))
    assert opened(root=str(root), val="none").train.version() == before and len(read) == 3
    as_shards(root, numbered(list(drawn(30, seed=1))))
    assert opened(root=str(root), val="none").train.version() != before and len(read) == 6
    for index_file in kept.iterdir():
        index_file.write_bytes(b"damaged")
    opened(root=str(root), val="none")
    assert len(read) == 9


def broken(shard: Path, how: str) -> None:
    """Makes a shard one that cannot be used."""
    content = shard.read_bytes()
    changed = {
        "missing": None,
        "cut": content[: len(content) // 2 - 300],
        "empty": b"",
        "pointer": b"version https://git-lfs.github.com/spec/v1\noid sha256:1\nsize 1\n",
    }[how]
    shard.unlink()
    if changed is not None:
        shard.write_bytes(changed)


@pytest.mark.parametrize(
    ("how", "words"),
    [
        ("missing", r"1 of 3 shards are not there: .*/train-001\.tar"),
        ("cut", r"train-001\.tar: broken or cut short"),
        ("empty", r"train-001\.tar: broken or cut short"),
        ("pointer", r"train-001\.tar: .*Git LFS"),
    ],
)
def test_a_shard_that_cannot_be_used_is_refused_in_one_line(
    tmp_path: Path, pictures: list[Drawn], how: str, words: str, opened: Opened
) -> None:
    root = as_shards(tmp_path / "set", numbered(pictures))
    broken(root / "train-001.tar", how)
    with pytest.raises(DataError, match=words) as caught:
        opened(root=str(root / "train-{000..002}.tar"))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("sample", "words", "said"),
    [
        ({"cls": 5}, {"classes": ["ant", "bee"]}, "the label 5 is no class. There are 2 of them"),
        ({"cls": "be"}, {"classes": ["ant", "bee"]}, "Did you mean 'bee'?"),
        ({"txt": "bee"}, {}, "no sample of the train part has a label. The first one is png, txt"),
        ({"json": {"kind": 1}}, {"label": "json.kin"}, r"The first one is json \(kind\), png"),
        ({"cls": 1}, {"image": "jpg"}, "no sample of the train part has a picture"),
        ({"json": ["ant", "bee"]}, {}, "Several labels a picture are learnt with task=multi"),
        ({"json": {"label": {"a": 1}}}, {}, "a label is a name, a number or a list of these"),
        ({"cls": 1}, {"classes": "nowhere.txt"}, "data.classes: nowhere.txt cannot be read"),
        ({"cls": 1}, {}, "only the class 1. Two are needed"),
    ],
)
def test_samples_that_make_no_set_are_refused_in_one_line(
    tmp_path: Path, pictures: list[Drawn], sample: dict[str, Any], words: dict[str, Any], said: str, opened: Opened
) -> None:
    as_shards(tmp_path / "set", [{"png": pictures[0].content, **sample}])
    with pytest.raises((DataError, ConfigError), match=said) as caught:
        opened(root=str(tmp_path / "set"), **words)
    assert "\n" not in str(caught.value)


def test_an_empty_line_among_the_names_of_classes_gives_none_another_number(
    tmp_path: Path, pictures: list[Drawn], opened: Opened
) -> None:
    root, named = as_shards(tmp_path / "set", [{"png": pictures[0].content, "cls": 2}]), tmp_path / "set/classes.txt"
    named.write_text("ant\n\nbee\n")
    with pytest.raises(DataError, match=r"classes\.txt: line 2 is empty"):
        opened(root=str(root))
    named.write_text("ant\nbee\nwasp\n\n")
    assert opened(root=str(root), val="none").classes == ("wasp",)


@pytest.mark.slow
def test_what_cannot_be_read_or_has_no_label_stops_the_run_or_is_left_out_on_request(
    tmp_path: Path, pictures: list[Drawn], train: Command
) -> None:
    samples, kept = numbered(pictures), f"data.cache_dir={tmp_path / 'cache'}"
    samples[3]["png"] = b"no picture"
    words = ("data=webdataset", f"data.root={as_shards(tmp_path / 'set', samples)}", *RUN, *HERE, kept)
    ended = train(*words, tiny=False)
    assert ended.code == 3 and "train-000.tar/0003.png: not an image that can be read." in ended.err
    del samples[4]["cls"]
    as_shards(tmp_path / "set", samples)
    ended = train(*words, tiny=False)
    assert ended.code == 3 and "train-000.tar/0004.png: has no label. So it is with 1 of 30 pictures." in ended.err
    ended = train(*words, "data.on_error=skip", "name=x", tiny=False)
    assert ended.code == 0 and "(data.on_error=skip): 2 of 30 images cannot be read" in ended.out
    assert len((tmp_path / "outputs" / "x" / "left_out.txt").read_text().splitlines()) == 2


def test_without_the_package_the_extra_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, opened: Opened
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "webdataset", None)
    with pytest.raises(ConfigError, match=r"pip install 'trainer\[webdataset\]'"):
        opened(root=str(tmp_path))


@pytest.mark.slow
def test_a_run_killed_amid_shards_goes_on_bit_identical(spawn: Command, tmp_path: Path, pictures: list[Drawn]) -> None:
    root, kept = as_shards(tmp_path / "set", numbered(pictures)), f"data.cache_dir={tmp_path / 'cache'}"
    words = ("data=webdataset", f"data.root={root}", "data.cache=none", "save_every=2", *RUN, *HERE, kept)
    assert spawn(*words, "workers=0", "name=unbroken", tiny=False).code == 0
    assert spawn(*words, "workers=1", "name=killed", tiny=False, fault="kill@step=7").code == -9
    ended = spawn(*words, "workers=0", "name=killed", "resume=auto", tiny=False)
    assert ended.code == 0 and "Goes on after step 6, in epoch 2." in ended.out
    outputs = tmp_path / "outputs"
    assert fingerprint(outputs / "killed") == fingerprint(outputs / "unbroken")


@pytest.mark.parametrize("how", ["{}/train-{{000..002}}.tar", "{}/train-*.tar", "pipe:cat {}/train-{{000..002}}.tar"])
def test_shards_that_come_by_give_what_they_give_as_files(
    tmp_path: Path, pictures: list[Drawn], opened: Opened, how: str
) -> None:
    root = as_shards(tmp_path / "set", numbered(pictures))
    here = opened(root=str(root), val="none", classes=list(CLASSES))
    passing = opened(root=how.format(root), val="none", classes=list(CLASSES), streaming=True)
    assert by_content(passing.train, CLASSES) == by_content(here.train, CLASSES)
    assert list(passing.train.keys) == list(here.train.keys) and passing.train.digest() == here.train.digest()


def test_a_stream_is_read_through_once_before_the_runs(tmp_path: Path, pictures: list[Drawn], opened: Opened) -> None:
    root, log = as_shards(tmp_path / "set", numbered(pictures)), tmp_path / "log"
    command = f"pipe:echo . >> {log}; cat {root}/train-{{000..002}}.tar"
    for _ in range(2):
        opened(root=command, val="none", streaming=True)
        assert len(log.read_text().splitlines()) == 3


def test_a_program_that_is_cut_short_is_not_asked_how_it_ended(
    tmp_path: Path, pictures: list[Drawn], opened: Opened
) -> None:
    root = as_shards(tmp_path / "set", [{**each, "bin": bytes(200_000)} for each in numbered(pictures)])
    passing = opened(root=f"pipe:exec cat {root}/train-{{000..002}}.tar", val="none", streaming=True)
    assert passing.train.image(0).shape[0] == 3  # an error would be told by Python alone, as ignored


def test_a_signal_to_the_process_group_does_not_break_off_what_a_program_gives(
    tmp_path: Path, pictures: list[Drawn], opened: Opened
) -> None:
    root = as_shards(tmp_path / "set", numbered(pictures))
    command = f"pipe:kill -TERM $$; kill -INT $$; cat {root}/train-{{000..002}}.tar"
    assert len(opened(root=command, val="none", streaming=True).train) == len(pictures)


@pytest.mark.parametrize(
    ("root", "said"),
    [
        ("https://example.invalid/train-{000..009}.tar", "train-000.tar is no file here: say data.streaming=true, and"),
        ("pipe:cat {}/nowhere.tar", "pipe:cat .*/nowhere.tar: the stream breaks off"),
        ("pipe:head -c 3000 {}/train-000.tar", "train-000.tar: the stream breaks off"),
        ("pipe:head -c 10240 /dev/zero", "pipe:head -c 10240 /dev/zero: no sample is in it"),
        ("pi{p,p}e:touch x", "pipe: stands first"),
    ],
)
def test_a_stream_that_cannot_be_read_is_refused_in_one_line(
    tmp_path: Path, pictures: list[Drawn], opened: Opened, root: str, said: str
) -> None:
    folder = as_shards(tmp_path / "set", numbered(pictures))
    with pytest.raises(DataError, match=said) as caught:
        opened(root=root.replace("{}", str(folder)), streaming=root.startswith("pi"))
    assert "\n" not in str(caught.value)


@pytest.mark.slow
def test_a_command_that_a_config_names_is_run_only_if_it_is_typed_again(
    train: Command, tmp_path: Path, pictures: list[Drawn], capsys: pytest.CaptureFixture[str]
) -> None:
    root = as_shards(tmp_path / "set", numbered(pictures))
    pipe, ran = f"data.root=pipe:touch {tmp_path / 'ran'}; cat {root}/train-{{000..002}}.tar", tmp_path / "ran"
    words = ("data=webdataset", "data.streaming=true", *RUN, *HERE, f"data.cache_dir={tmp_path / 'cache'}")
    assert train(*words, pipe, "name=run", tiny=False).code == 0
    run = tmp_path / "outputs" / "run"
    ran.unlink()
    for again in (("--config-path", str(run), "name=again"), ("evaluate", str(run))):
        assert main(again) == 2
        assert "would run a command that a config names" in capsys.readouterr().err
    assert not ran.exists()
    ended = train("--config-path", str(run), "name=again", pipe, tiny=False)
    assert ended.code == 0 and ran.exists(), ended.err


@pytest.mark.parametrize("option", ["cache=disk", "denoise=median", "on_error=skip"])
def test_what_wants_pictures_in_any_order_cannot_act_with_a_stream(tmp_path: Path, train: Command, option: str) -> None:
    ended = train("data=webdataset", f"data.root={tmp_path}", "data.streaming=true", f"data.{option}", tiny=False)
    assert ended.code == 2 and "cannot act with data.streaming=true" in ended.err


def test_a_check_wants_pictures_in_any_order(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "data=webdataset", f"data.root={tmp_path}", "data.streaming=true"]) == 2
    assert "check: it looks at pictures in any order" in capsys.readouterr().err


@pytest.mark.slow
def test_a_run_killed_amid_a_stream_goes_on_bit_identical_whatever_the_workers(
    spawn: Command, tmp_path: Path, pictures: list[Drawn]
) -> None:
    root = f"data.root={as_shards(tmp_path / 'set', numbered(pictures))}/train-{{000..002}}.tar"
    words = ("data=webdataset", root, "data.streaming=true", "data.buffer=8", "save_every=2", *RUN, *HERE)
    words += (f"data.cache_dir={tmp_path / 'cache'}",)
    assert spawn(*words, "workers=0", "name=unbroken", tiny=False).code == 0
    assert spawn(*words, "workers=2", "name=killed", tiny=False, fault="kill@step=7").code == -9
    ended = spawn(*words, "workers=1", "name=killed", "resume=auto", tiny=False)
    assert ended.code == 0 and "Goes on after step 6, in epoch 2." in ended.out
    outputs = tmp_path / "outputs"
    assert fingerprint(outputs / "killed") == fingerprint(outputs / "unbroken")
