"""Which stages learn when, what batch norm does meanwhile, and what the optimizer leaves alone."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from shared import Ended
from torch import nn

from trainer.errors import ConfigError
from trainer.finetune.gradual import gradual
from trainer.finetune.head_first import head_first
from trainer.finetune.none import none
from trainer.optim.sgd import sgd

Train = Callable[..., Ended]


class Net(nn.Sequential):
    """Four stages; those of the body have a batch norm."""

    def __init__(self) -> None:
        body = [nn.Sequential(nn.Linear(3, 3), nn.BatchNorm1d(3)) for _ in range(3)]
        super().__init__(*body, nn.Linear(3, 2))

    @property
    def stages(self) -> list[nn.Module]:
        return list(self.children())


def learning(model: Net) -> list[bool]:
    """Of each stage whether it learns; no stage does in part."""
    found = [{each.requires_grad for each in stage.parameters()} for stage in model.stages]
    assert all(len(each) == 1 for each in found)
    return [each == {True} for each in found]


def test_without_finetuning_everything_learns_in_every_epoch() -> None:
    model = Net().eval()
    none(4, 9)(model, 0)
    assert learning(model) == [True] * 4 and model.training


def test_the_head_learns_alone_and_then_everything_at_once() -> None:
    model, begin = Net(), head_first(4, 9, frozen_epochs=2)
    seen = []
    for epoch in range(4):
        begin(model, epoch)
        seen.append(learning(model))
    head, everything = [False, False, False, True], [True] * 4
    assert seen == [head, head, everything, everything]


def test_a_body_may_stay_frozen_for_good_even_if_epochs_are_raised() -> None:
    model, begin = Net(), head_first(4, 2, frozen_epochs="all")
    for epoch in (0, 1, 30):
        begin(model, epoch)
        assert learning(model) == [False, False, False, True]


def test_stages_join_in_one_by_one_from_the_head_down() -> None:
    model, begin = Net(), gradual(4, 9, epochs_per_stage=2)
    counts = []
    for epoch in range(9):
        begin(model, epoch)
        stages = learning(model)
        assert stages == sorted(stages)  # what is nearer to the head learns first
        counts.append(sum(stages))
    assert counts == [1, 1, 2, 2, 3, 3, 4, 4, 4]


def test_what_is_frozen_depends_on_the_epoch_alone() -> None:
    begin, in_order, at_once = gradual(4, 9), Net(), Net()
    for epoch in range(3):
        begin(in_order, epoch)
    begin(at_once, 2)
    assert learning(in_order) == learning(at_once) == [False, True, True, True]


@pytest.mark.parametrize("norm", ["frozen", "running"])
def test_batch_norm_in_a_frozen_body_keeps_its_statistics_or_goes_on_averaging(norm: str) -> None:
    torch.manual_seed(0)
    model, images = Net(), 5 + torch.randn(8, 3)
    head_first(4, 9, frozen_epochs=1, norm=norm)(model, 0)
    out = model.stages[0](images)
    mean = model.stages[0][1].running_mean
    assert bool(mean.any()) == (norm == "running")
    with torch.no_grad():
        before = model.stages[0][0](images)
    stored = before / (1 + model.stages[0][1].eps) ** 0.5  # statistics 0 and 1, as they start
    assert torch.allclose(out, stored, atol=1e-5) == (norm == "frozen")
    assert abs(float(out.mean())) < 1e-5 or norm == "frozen"


def test_batch_norm_of_a_thawed_body_learns_again() -> None:
    model, begin = Net(), head_first(4, 9)
    begin(model, 0)
    assert not any(module.training for module in model.modules() if isinstance(module, nn.BatchNorm1d))
    begin(model, 1)
    assert all(module.training for module in model.modules())


def test_what_is_frozen_gets_no_gradient_and_no_decay() -> None:
    torch.manual_seed(0)
    model, begin = Net(), head_first(4, 9)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    optimizer = sgd(model, lr=0.1, weight_decay=0.5)
    for epoch, moved in enumerate(([False] * 3 + [True], [True] * 4)):
        begin(model, epoch)
        optimizer.zero_grad()
        model(torch.randn(8, 3)).sum().backward()
        optimizer.step()
        weights = ["0.0.weight", "1.0.weight", "2.0.weight", "3.weight"]
        assert [not torch.equal(model.state_dict()[name], before[name]) for name in weights] == moved


@pytest.mark.parametrize(
    ("build", "match"),
    [
        (lambda: head_first(4, 3, frozen_epochs=3), "leave none in which the body learns"),
        (lambda: gradual(4, 2, epochs_per_stage=2), "no stage but the head would learn"),
        (lambda: head_first(1, 3), "no body to freeze"),
        (lambda: gradual(1, 3), "no body to freeze"),
    ],
)
def test_a_freezing_that_cannot_act_is_refused(build: Callable[[], object], match: str) -> None:
    with pytest.raises(ConfigError, match=match):
        build()


def test_the_plan_is_told_in_words() -> None:
    assert (
        "alone, on a frozen body of 3 stages, in epoch 1 to 2, then everything"
        in head_first(4, 5, frozen_epochs=2).notes[0]
    )
    assert (
        "in every epoch; batch norm there is running" in head_first(4, 5, frozen_epochs="all", norm="running").notes[0]
    )
    assert "one stage more each epoch, all 4 in epoch 4;" in gradual(4, 5).notes[0]
    assert "one stage more every 2 epochs, 2 never;" in gradual(4, 4, epochs_per_stage=2).notes[0]


@pytest.mark.parametrize("words", [("finetune=head_first",), ("finetune=gradual", "finetune.norm=running")])
def test_finetuning_without_weights_says_what_to_change(train: Train, words: tuple[str, ...]) -> None:
    ended = train(*words)
    assert ended.code == 2 and len(ended.err.splitlines()) == 1
    assert "has learnt nothing" in ended.err and "model.weights=FILE, or finetune=none" in ended.err


def test_an_initialisation_that_would_overwrite_the_weights_is_refused(train: Train) -> None:
    ended = train("model.weights=x.pt", "init=he_normal")
    assert ended.code == 2 and "would overwrite what model.weights loads. Use init=keep." in ended.err


@pytest.mark.slow
def test_a_trained_body_is_kept_while_the_head_learns_and_resumes_bit_for_bit(
    train: Train, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    outputs = tmp_path / "outputs"
    assert train("name=first", "data.classes=5", "data.images=150").code == 0
    weights = outputs / "first" / "checkpoints" / "best.pt"
    words = (f"model.weights={weights}", "finetune=gradual", "epochs=3", "optim.stage_decay=0.7", "ema=0.9")
    ended = train(*words, "name=unbroken", "keep_every=1")
    assert ended.code == 0, ended.err
    assert "finetune: the head learns first, one stage more each epoch, all 3 in epoch 3" in ended.out
    assert "learning rate: 0.00147 in the stem, rising to 0.003 in the head" in ended.out
    assert "weights: new, because the shape differs: head." in ended.out

    before = torch.load(weights, weights_only=True)["model"]
    for epoch, moved in ((1, set()), (2, {"stage1"}), (3, {"stem", "stage1"})):
        kept = next((outputs / "unbroken" / "checkpoints").glob(f"epoch{epoch}_*.pt"))
        after = torch.load(kept, weights_only=True)["model"]
        names = [name for name in before if not name.startswith("head")]
        assert {name.split(".")[0] for name in names if not torch.equal(before[name], after[name])} == moved

    monkeypatch.setenv("TRAINER_FAULT", "term@step=8")  # in the middle of the second epoch
    assert train(*words, "name=broken").code == 143
    monkeypatch.delenv("TRAINER_FAULT")
    assert train(*words, "name=broken", "resume=auto").code == 0
    whole, broken = (
        torch.load(outputs / name / "checkpoints" / "last.pt", weights_only=True) for name in ("unbroken", "broken")
    )
    for part in ("model", "averaged"):
        assert all(torch.equal(tensor, broken[part][name]) for name, tensor in whole[part].items())
