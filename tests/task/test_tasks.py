"""Every task: what the config says of it before torch is there, it says itself; and what verdicts keep."""

from typing import Any

import pytest
import torch

from trainer.registry import TASKS, entries
from trainer.settings import SCORES
from trainer.task.single import SINGLE
from trainer.task.task import Task

NAMES = sorted(entries("task"))


def task_named(name: str) -> Task:
    made: Task = TASKS.builder(name)()
    return made


def labels_of(task: Task, count: int) -> torch.Tensor:
    if task.labels == "one":
        return torch.randint(-1, 3, (count,), generator=torch.Generator().manual_seed(0))
    return torch.randint(-1, 2, (count, 3), generator=torch.Generator().manual_seed(0)).to(torch.int8)


@pytest.mark.parametrize("name", NAMES)
def test_the_config_knows_the_score_of_every_task(name: str) -> None:
    assert SCORES[name] == f"val_{task_named(name).score}" and task_named(name).name == name


@pytest.mark.parametrize("name", NAMES)
def test_what_is_kept_of_an_evaluation_is_read_again_and_by_no_other_task(name: str) -> None:
    task = task_named(name)
    labels = labels_of(task, 9)
    collector = task.collector()
    for rows in torch.arange(9).split(4):
        collector.add(torch.randn(len(rows), 3), labels[rows])
    verdicts = collector.read()
    saved: dict[str, Any] = {"verdicts": verdicts.plain()}
    again = task.verdicts_in(saved)
    assert again is not None and all(torch.equal(value, again.plain()[key]) for key, value in verdicts.plain().items())
    assert verdicts.images == int(task.has_label(labels).sum())
    others = [task_named(other).verdicts_in(saved) for other in NAMES if other != name]
    assert others == [None] * len(others)


@pytest.mark.parametrize("name", NAMES)
def test_labels_of_another_task_are_refused_with_the_way_out(name: str) -> None:
    task = task_named(name)
    for other in NAMES:
        reason = task.refuse(labels_of(task_named(other), 4), 3)
        assert (reason is None) == (other == name) and (reason is None or f"task={other}" in reason)


def test_the_tally_of_several_labels_is_their_micro_f1() -> None:
    from sklearn.metrics import f1_score

    task = task_named("multi")
    labels, logits = labels_of(task, 40), torch.randn(40, 3, generator=torch.Generator().manual_seed(1))
    right, counted = task.tally(logits, labels)
    known = labels >= 0
    assert float(right / counted) == pytest.approx(f1_score(labels[known] > 0, logits[known] > 0))


def test_the_surprise_of_a_coin_is_ln_2_a_label_and_ln_3_of_three_classes() -> None:
    for task, wanted in ((task_named("multi"), 2), (SINGLE, 3)):
        nats, counted = task.surprise(torch.zeros(9, 3), labels_of(task, 9), torch.float64)
        assert float((nats / counted).exp()) == pytest.approx(wanted)


@pytest.mark.parametrize("name", NAMES)
def test_the_recall_of_each_class_is_that_of_its_images_and_unknown_without_any(name: str) -> None:
    from sklearn.metrics import recall_score

    task = task_named(name)
    labels, logits = labels_of(task, 40), torch.randn(40, 4, generator=torch.Generator().manual_seed(1))
    if task.labels == "several":
        labels = torch.cat([labels, torch.zeros(40, 1, dtype=torch.int8)], dim=1)
    collector = task.collector()
    collector.add(logits, labels)
    verdicts = collector.read()
    known, answers = (labels >= 0, logits.argmax(1)) if labels.ndim == 1 else (labels >= 0, logits > 0)
    if labels.ndim == 1:
        wanted = recall_score(labels[known], answers[known], labels=[0, 1, 2], average=None).tolist()
    else:
        columns = ((labels[known[:, c], c], answers[known[:, c], c]) for c in range(3))
        wanted = [float(recall_score(*column)) for column in columns]
    assert task.recall(verdicts, 4) == (*map(pytest.approx, wanted), None)
    counts = [int((labels == c).sum()) for c in range(4)] if labels.ndim == 1 else (labels > 0).sum(0).tolist()
    assert task.images_of_each(labels, 4) == counts and counts[3] == 0


def test_the_commonest_answer_is_told_of_one_label_a_picture_and_counts_labelled_images() -> None:
    collector = SINGLE.collector()
    collector.add(torch.eye(3)[torch.tensor([0, 2, 2, 1, 1])], torch.tensor([0, 0, 1, -1, -1]))
    assert SINGLE.commonest(collector.read()) == pytest.approx(2 / 3)
    assert SINGLE.commonest(SINGLE.collector().read()) is None
    assert task_named("multi").commonest(task_named("multi").collector().read()) is None
