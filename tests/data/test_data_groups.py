"""Groups: images that belong together are in one part, and the parts are as even as that allows."""

import itertools
import json
import shutil
import warnings
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from shared import Ended
from sklearn.model_selection import StratifiedGroupKFold

from trainer.build.features import probe_of
from trainer.cli.main import main
from trainer.data.folder import folder
from trainer.data.groups import can_be_held_out, fold_of_groups, groups_held_out, in_words
from trainer.data.splits import held_out
from trainer.data.table import table
from trainer.errors import DataError
from trainer.finetune.probing import Probing
from trainer.task.single import SINGLE

Drawn = tuple[list[str], torch.Tensor]
"""The group and the label of each image."""


@st.composite
def drawn(draw: st.DrawFn, most_groups: int = 12, most_classes: int = 4, ignored: bool = True) -> Drawn:
    """A few groups, of a few images of a few classes each; -1: ignored."""
    classes = draw(st.integers(1, most_classes))
    label = st.integers(-1 if ignored else 0, classes - 1)
    content = draw(st.lists(st.lists(label, min_size=1, max_size=8), min_size=1, max_size=most_groups))
    groups = [f"p{number}" for number, labels in enumerate(content) for _ in labels]
    return groups, torch.tensor([label for labels in content for label in labels])


def contents(groups: list[str], labels: torch.Tensor) -> dict[str, np.ndarray]:
    """How many images of each class, and of all, a group has: counted one by one."""
    classes = sorted({*labels.tolist()} - {-1})
    counts = {name: np.zeros(len(classes) + 1, dtype=int) for name in sorted(set(groups))}
    for name, label in zip(groups, labels.tolist(), strict=True):
        counts[name][-1] += 1
        if label >= 0:
            counts[name][classes.index(label)] += 1
    return counts


def of(groups: list[str], places: torch.Tensor) -> set[str]:
    return {groups[place] for place in places.tolist()}


SHARES = st.sampled_from([0.1, 0.2, 0.3, 0.5, 0.8])


@given(drawn(), SHARES)
def test_a_group_is_in_one_part_and_training_keeps_every_class(case: Drawn, share: float) -> None:
    groups, labels = case
    stay, out = groups_held_out(groups, labels, share)
    assert sorted([*stay.tolist(), *out.tolist()]) == list(range(len(groups)))
    assert not of(groups, stay) & of(groups, out)
    assert {*labels[stay].tolist()} >= {*labels.tolist()} - {-1}
    assert bool(len(out)) == can_be_held_out(groups, labels)


@given(drawn(), st.integers(2, 5))
def test_a_group_validates_in_one_fold_and_the_others_keep_every_class(case: Drawn, folds: int) -> None:
    groups, labels = case
    found = fold_of_groups(groups, labels, folds)
    counts = contents(groups, labels)
    total = sum(counts.values())
    for name in counts:
        (fold,) = {*found[torch.tensor([each == name for each in groups])].tolist()}
        if (counts[name] == total).any():
            assert fold == -1
    for fold in range(folds):
        assert {*labels[found != fold].tolist()} >= {*labels.tolist()} - {-1}
    movable = sum(not (each == total).any() for each in counts.values())
    assert len({*found.tolist()} - {-1}) == min(folds, movable) or (found == -1).any()


@pytest.mark.slow
@settings(max_examples=200)
@given(drawn(most_groups=8, most_classes=3), SHARES)
def test_a_share_is_within_one_groups_size_of_the_best_that_whole_groups_allow(case: Drawn, share: float) -> None:
    groups, labels = case
    counts = contents(groups, labels)
    total = sum(counts.values())
    sums = [sum(some) for size in range(1, len(counts)) for some in itertools.combinations(counts.values(), size)]
    best = min((abs(each / total - share).max() for each in sums if (each < total).all()), default=0.0)
    out = of(groups, groups_held_out(groups, labels, share)[1])
    if out:
        ours = abs(sum(counts[name] for name in out) / total - share).max()
        assert ours <= best + max((each / total).max() for each in counts.values()) + 1e-12


def unevenness(labels: np.ndarray, fold_of: np.ndarray) -> float:
    """The mean over the classes of the standard deviation of what each fold has of one."""
    has = [[(labels[fold_of == fold] == each).sum() for each in np.unique(labels)] for fold in np.unique(fold_of)]
    share = np.array(has)
    return float((share / share.sum(0)).std(0).mean())


def test_folds_are_as_even_as_those_of_scikit_learn() -> None:
    ours, theirs = [], []
    for seed in range(24):
        rng = np.random.default_rng(seed)
        folds, classes = rng.integers(2, 6), rng.integers(2, 7)
        likely, sizes = rng.dirichlet(np.ones(classes), 40), rng.integers(1, 30, 40)
        labels = np.concatenate([rng.choice(classes, size, p=p) for size, p in zip(sizes, likely, strict=True)])
        groups = np.repeat([f"p{number}" for number in range(40)], sizes)
        ours.append(unevenness(labels, fold_of_groups(groups.tolist(), torch.from_numpy(labels), folds).numpy()))
        found = np.empty_like(labels)
        with warnings.catch_warnings(action="ignore"):  # of classes with fewer images than folds
            for fold, (_, places) in enumerate(StratifiedGroupKFold(folds).split(labels, labels, groups)):
                found[places] = fold
        theirs.append(unevenness(labels, found))
    assert np.mean(ours) <= np.mean(theirs) and np.subtract(ours, theirs).max() < 0.03


@pytest.mark.slow
@given(drawn(), SHARES, st.randoms(use_true_random=False))
def test_the_order_of_the_listing_does_not_matter(case: Drawn, share: float, random: object) -> None:
    groups, labels = case
    order = list(range(len(groups)))
    random.shuffle(order)  # type: ignore[attr-defined]
    others = [groups[place] for place in order]
    assert of(groups, groups_held_out(groups, labels, share)[1]) == of(
        others, groups_held_out(others, labels[order], share)[1]
    )
    assert fold_of_groups(groups, labels, 3)[order].tolist() == fold_of_groups(others, labels[order], 3).tolist()


@pytest.mark.slow
@given(drawn(ignored=False), SHARES)
def test_one_label_of_several_is_divided_as_one_class(case: Drawn, share: float) -> None:
    groups, labels = case
    several = torch.nn.functional.one_hot(labels)
    several[several == 0] = -(torch.arange(int((several == 0).sum())) % 2)  # 0 and -1 alike are no image of a class
    assert groups_held_out(groups, labels, share)[1].tolist() == groups_held_out(groups, several, share)[1].tolist()
    assert fold_of_groups(groups, labels, 3).tolist() == fold_of_groups(groups, several, 3).tolist()


def test_classes_of_several_groups_are_in_both_parts() -> None:
    groups = [f"{kind}{number}" for kind in "abc" for number in range(3) for _ in range(10)]
    labels = torch.arange(3).repeat_interleave(30)
    _, out = groups_held_out(groups, labels, 0.1)
    assert labels[out].bincount().tolist() == [10, 10, 10]


def picture(path: Path, shade: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (12, 12), (shade, shade, shade)).save(path)


def patients(root: Path, count: int = 10, each: int = 4) -> Path:
    """root/CLASS/NN_I.png: every patient has pictures of both classes."""
    for number in range(count):
        for index in range(each):
            kind = ("ill", "well")[(number + index) % 2]
            picture(root / kind / f"{number:02d}_{index}.png", 20 * (kind == "ill") + 5 * index + number)
    return root


PATIENT = r"(\d+)_"


def persons(keys: object) -> set[str]:
    return {Path(key).name[:2] for key in keys}  # type: ignore[attr-defined]


def test_a_pattern_keeps_the_pictures_of_a_patient_in_one_part(tmp_path: Path) -> None:
    source = folder(root=str(patients(tmp_path)), val=0.2, group=PATIENT)
    assert source.train.groups == [Path(key).name[:2] for key in source.train.keys]
    assert not persons(source.train.keys) & persons(source.val.keys) and len(source.val) == 8


def test_every_patient_validates_in_one_fold(tmp_path: Path) -> None:
    root = str(patients(tmp_path))
    found = [persons(folder(root=root, folds=5, fold=fold, group=PATIENT).val.keys) for fold in range(5)]
    assert sorted(itertools.chain(*found)) == [f"{number:02d}" for number in range(10)]


def test_an_archive_is_divided_as_the_folder_that_is_in_it(tmp_path: Path) -> None:
    root = patients(tmp_path / "photos")
    archive = shutil.make_archive(str(tmp_path / "photos"), "zip", tmp_path, "photos")
    packed = folder(root=archive, group=PATIENT, cache_dir=str(tmp_path / "cache"))
    assert sorted(packed.val.keys) == sorted(folder(root=str(root), group=PATIENT).val.keys)


def test_without_groups_the_division_stays_what_it_was(tmp_path: Path) -> None:
    source = folder(root=str(patients(tmp_path)), val=0.2)
    keys = sorted([*source.train.keys, *source.val.keys])
    labels = torch.tensor([int(key.startswith("well")) for key in keys])
    assert list(source.val.keys) == [keys[place] for place in held_out(keys, labels, 0.2)[1].tolist()]


def test_a_column_keeps_the_rows_of_a_patient_in_one_part(tmp_path: Path) -> None:
    root = patients(tmp_path / "photos")
    rows = [f"{path.relative_to(root)},{path.parent.name},{path.name[:2]}" for path in sorted(root.rglob("*.png"))]
    (tmp_path / "labels.csv").write_text("\n".join(["path,label,patient", *rows]))
    source = table(file=str(tmp_path / "labels.csv"), root=str(root), group="patient")
    assert not persons(source.train.keys) & persons(source.val.keys) and source.val.groups
    assert sorted(source.val.keys) == sorted(folder(root=str(root), group=PATIENT).val.keys)


@pytest.fixture
def run(train: Callable[..., Ended]) -> Callable[..., Ended]:
    """A tiny training on class folders."""
    tiny = ("model.widths=[4,8]", "batch_size=16", "device=cpu", "precision=fp32", "preset=none", "epochs=1")

    def command(root: Path, *words: str) -> Ended:
        return train("data=folder", f"data.root={root}", "model=small_cnn", *tiny, *words, tiny=False)

    return command


@pytest.mark.slow
def test_a_run_tells_its_groups_and_scores_the_same_pictures_again(
    run: Callable[..., Ended], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ended = run(patients(tmp_path / "photos"), "name=x", f"data.group={PATIENT}", "data.val=0.2")
    assert ended.code == 0, ended.err
    assert "10 groups, of 4 images each; 8 in training, 2 in validation." in ended.out
    reported = json.loads((tmp_path / "outputs" / "x" / "run.json").read_text())["images"]["validation"]
    assert main(["evaluate", str(tmp_path / "outputs" / "x")]) == 0
    printed = capsys.readouterr()
    assert reported == 8 and "The data have changed" not in printed.out + printed.err


@pytest.mark.slow
def test_other_pictures_are_scored_whatever_their_names(run: Callable[..., Ended], tmp_path: Path) -> None:
    assert run(patients(tmp_path / "photos"), "name=x", f"data.group={PATIENT}").code == 0
    for kind in ("ill", "well"):
        picture(tmp_path / "others" / kind / "scan.png", 9)
    assert main(["evaluate", str(tmp_path / "outputs" / "x"), f"data.root={tmp_path / 'others'}"]) == 0


@pytest.mark.slow
def test_a_run_that_goes_on_keeps_its_groups(run: Callable[..., Ended], tmp_path: Path) -> None:
    photos = patients(tmp_path / "photos")
    assert run(photos, "name=x", f"data.group={PATIENT}").code == 0
    ended = run(photos, "name=x", "resume=auto", "epochs=2", r"data.group=(\d)\d_")
    assert ended.code == 2 and rf"data.group: {PATIENT} before, (\d)\d_ now" in ended.err


def test_a_group_in_two_parts_that_are_given_is_named(run: Callable[..., Ended], tmp_path: Path) -> None:
    patients(tmp_path / "set" / "train")
    patients(tmp_path / "set" / "val", count=2)
    ended = run(tmp_path / "set", f"data.group={PATIENT}")
    assert ended.code == 0, ended.err
    assert (
        "In both training and validation: 2 of the 2 validation groups, which flatters the validation scores: 00, 01"
        in ended.out
    )


@pytest.mark.slow
def test_groups_that_are_the_classes_themselves_are_told_with_the_way_out(
    run: Callable[..., Ended], tmp_path: Path
) -> None:
    for part in ("train", "val"):
        patients(tmp_path / "set" / part)
    ended = run(tmp_path / "set", "data.group=^([a-z]+)/")
    assert ended.code == 0, ended.err
    assert "The groups are the classes themselves, and so keep nothing apart. Say what tells patients" in ended.out
    assert "In both training" not in ended.out
    followed = run(tmp_path / "set", r"data.group=/(\d+)_")
    assert "10 groups, of 8 images each; 10 in training, 10 in validation.\n" in followed.out
    assert "the classes themselves" not in followed.out


def test_two_groups_a_class_one_of_which_validates_are_not_the_classes(tmp_path: Path) -> None:
    for kind, number in itertools.product(("ill", "well"), range(4)):
        picture(tmp_path / kind / f"{kind[0]}{number // 2}_{number}.png", 10 * number)
    source = folder(root=str(tmp_path), val=0.5, group=r"/(\w+)_")
    assert in_words(source) == ["4 groups, of 2 images each; 2 in training, 2 in validation."]


def test_a_pattern_is_widened_as_its_refusal_says(tmp_path: Path) -> None:
    root = str(patients(tmp_path))
    with pytest.raises(DataError, match=r"a choice around them is \(\?:…\|…\)") as caught:
        folder(root=root, group=r"^ill/(\d+)_")
    assert "is not found in 20 of 40 pictures' paths, such as well/00_1.png" in str(caught.value)
    assert set(folder(root=root, group=r"^(?:ill|well)/(\d+)_").train.groups or ()) <= {f"{n:02d}" for n in range(10)}


@pytest.mark.slow
def test_a_class_of_one_group_is_trained_on_and_that_is_said(run: Callable[..., Ended], tmp_path: Path) -> None:
    root = patients(tmp_path / "photos")
    for index in range(6):
        picture(root / "rare" / f"p77_{index}.png", 200 + index)
    ended = run(root, f"data.group={PATIENT}")
    assert ended.code == 0, ended.err
    assert (
        "Validation tells nothing of some classes, since groups stay whole and theirs train: rare (1 of 3)."
        in ended.out
    )


def test_a_limit_takes_of_a_part_and_moves_nothing(run: Callable[..., Ended], tmp_path: Path) -> None:
    ended = run(patients(tmp_path / "photos"), f"data.group={PATIENT}", "limit_train=9", "limit_val=3")
    assert ended.code == 0, ended.err
    assert "10 groups, of 4 images each; 9 in training, 1 in validation." in ended.out


@pytest.mark.parametrize(
    ("pattern", "message"),
    [
        (r"(p\d+", r"'(p\d+' is no regular expression: missing ), unterminated subpattern, at character 1."),
        (r"p\d+", r"'p\d+' needs parentheses around what names the group, such as '(p\d+)'."),
        ("patient", r"'patient' needs parentheses around what names the group, such as 'patient(\d+)'."),
        ("", r"it is empty. Say what in a path, such as '(p\d+)_', names the group, or leave it out."),
        (r"(p)(\d+)", r"'(p)(\d+)' has 2 pairs of parentheses. One may name the group; begin others with ?:"),
    ],
)
def test_a_pattern_that_names_no_group_is_refused_before_anything_is_read(
    run: Callable[..., Ended], tmp_path: Path, pattern: str, message: str
) -> None:
    ended = run(tmp_path / "gone", f"data.group={pattern}")
    assert ended.code == 2 and ended.err.startswith(f"data.group: {message}") and len(ended.err.splitlines()) == 1


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ({"group": "(x+)"}, r"'\(x\+\)' is found in no picture's path, such as ill/00_0.png. Say what"),
        ({"group": "(0[1-9])_"}, r"'\(0\[1-9\]\)_' is not found in 4 of 40 pictures' paths, such as ill/00_0.png"),
        ({"group": "([.])"}, "no group can be held out, for all training images are of [.][.] Say what tells"),
        ({"group": "^(.)"}, r"for they are the classes themselves \(i, w\). Say what tells patients"),
        ({"group": PATIENT, "folds": 11, "fold": 0}, "data.folds=11: there are only 10 groups. Give at most as many"),
    ],
)
def test_groups_that_cannot_be_divided_are_refused_in_one_line(
    tmp_path: Path, words: dict[str, object], message: str
) -> None:
    with pytest.raises(DataError, match=message) as caught:
        folder(root=str(patients(tmp_path)), **words)  # type: ignore[arg-type]
    assert "\n" not in str(caught.value) and str(caught.value).startswith("data.")


def test_groups_of_which_each_holds_a_class_as_a_whole_are_refused(tmp_path: Path) -> None:
    root = patients(tmp_path)
    picture(root / "worse" / "00_0.png", 7)
    with pytest.raises(DataError, match=r"for each of the 2 \(i, w\) holds all training images of a class. Say what"):
        folder(root=str(root), group="^(.)")


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["0.png,a,x", "1.png,b,x", "2.png,a,"], "line 4: the group is empty. Fill it in. Or leave such rows out"),
        (["0.png,a,x", "1.png,b,x", "0.png,a,y"], "0.png is listed with two groups, x in line 2 and y in line 4"),
    ],
)
def test_a_row_without_one_group_is_refused(tmp_path: Path, lines: list[str], message: str) -> None:
    for index in range(3):
        picture(tmp_path / f"{index}.png", index)
    (tmp_path / "labels.csv").write_text("\n".join(["path,label,patient", *lines]))
    with pytest.raises(DataError, match=message):
        table(file=str(tmp_path / "labels.csv"), group="patient")


def test_a_column_of_groups_that_is_not_there_has_its_nearest_named(tmp_path: Path) -> None:
    picture(tmp_path / "0.png", 0)
    (tmp_path / "labels.csv").write_text("path,label,patient\n0.png,a,x\n")
    with pytest.raises(DataError, match=r"no column 'patients'\. Did you mean 'patient'.*data.group=COLUMN"):
        table(file=str(tmp_path / "labels.csv"), group="patients")


@pytest.mark.parametrize(
    ("header", "group", "message"),
    [
        ("file,kind,view", "file", "holds the paths in column file, so that each picture would be a group of its own."),
        ("path,kind,view", "path", "holds the paths in column path, so that each picture would be a group of its own."),
        ("file,label,view", "label", "holds the labels in column label, so that each class would be one group. Say"),
        ("file,kind,", "kind", "holds the labels in column kind, so that each class would be one group. Say which"),
        ("file,kind,view", "vieww", "has no column 'vieww'. Did you mean 'view'? Say which holds the groups: data."),
        (
            "file,kind,view",
            r"(p\d+)_",
            r"has no column '(p\d+)_'. A pattern finds groups in the paths of class folders",
        ),
    ],
)
def test_a_column_that_holds_no_groups_is_refused_for_that_alone(
    tmp_path: Path, header: str, group: str, message: str
) -> None:
    rows = [f"{index}.png,{'ab'[index % 2]},{'xyz'[index % 3] if header[-1] == 'w' else ''}" for index in range(9)]
    for index in range(9):
        picture(tmp_path / f"{index}.png", index)
    (tmp_path / "labels.csv").write_text("\n".join([header, *rows]))
    with pytest.raises(DataError) as caught:
        table(file=str(tmp_path / "labels.csv"), group=group)
    told = str(caught.value)
    assert told.startswith(f"data.file: {tmp_path / 'labels.csv'} {message}") and "; it " not in told


def test_a_probe_chooses_its_l2_by_whole_groups(tmp_path: Path) -> None:
    train = folder(root=str(patients(tmp_path)), val=0.2, group=PATIENT).train
    pictures = SimpleNamespace(samples=train, augmented=SimpleNamespace(mix=None))
    features: Any = SimpleNamespace(pictures=pictures, body=SimpleNamespace(layer="head"))
    out = {*probe_of(Probing(views=0, alone=True, notes=()), SINGLE, features).held_out.tolist()}
    held = persons(train.keys[place] for place in out)
    assert held and not held & persons(key for place, key in enumerate(train.keys) if place not in out)
