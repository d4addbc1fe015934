"""A network is found in whatever file a training program has made of it: under prefixes, in wrappings, averaged."""

import pickle
from argparse import Namespace
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from shared import Ended, Malice
from torch import Tensor, nn

from trainer.errors import CheckpointError
from trainer.model.backbone import backbone
from trainer.model.copies import flat, named_as
from trainer.model.files import read
from trainer.model.small_cnn import SmallCNN, small_cnn

Train = Callable[..., Ended]
State = dict[str, Tensor]
ADAM = {"state": {0: {"exp_avg": torch.ones(4, 3, 3, 3)}}, "param_groups": [{"lr": 0.1}]}


def network(seed: int, **options: Any) -> SmallCNN:
    torch.manual_seed(seed)
    return small_cnn(3, 3, widths=[4, 8], **options)


RAW: State = network(1).state_dict()
AVERAGED: State = {name: tensor + 1 for name, tensor in network(2).state_dict().items()}
LEARNT = [name for name, _ in network(1).named_parameters()]


def under(prefix: str, state: State) -> State:
    return {prefix + name: tensor for name, tensor in state.items()}


def within(content: object, tmp_path: Path) -> tuple[State, tuple[str, ...]]:
    """What a network has loaded from a file of that content, and what it says about it."""
    torch.save(content, tmp_path / "w.pt")
    model = network(3, weights=str(tmp_path / "w.pt"))
    return model.state_dict(), model.notes


def equal(found: State, expected: State) -> bool:
    return found.keys() == expected.keys() and all(torch.equal(found[name], expected[name]) for name in expected)


LIGHTNING = {
    "epoch": 3,
    "state_dict": under("model.", RAW),
    "callbacks": {"ModelCheckpoint": {"best_model_score": torch.tensor(0.3), "dirpath": "x"}},
    "optimizer_states": [ADAM],
    "hyper_parameters": {"lr": 0.1},
}
FASTAI = {"model": RAW, "opt": {"state": [{"grad_avg": torch.ones(2)}], "hypers": [{"lr": 0.1}]}}
ONE_COPY: dict[str, object] = {
    "plain": RAW,
    **{prefix: under(prefix, RAW) for prefix in ("module.", "_orig_mod.", "net.", "model.", "backbone.", "encoder.")},
    "module.model.": under("module.model.", RAW),
    "model._orig_mod.": under("model._orig_mod.", RAW),
    "compiled in parts": {name.replace(".", "._orig_mod.", 1): tensor for name, tensor in RAW.items()},
    "sharded": {f"_fsdp_wrapped_module.{name}": tensor for name, tensor in RAW.items()},
    "Hugging Face's timm": under("timm_model.", RAW),
    "state_dict": {"state_dict": RAW},
    "model": {"model": RAW, "optimizer": ADAM, "epoch": 3},
    "an average alone": {"ema": RAW},
    "DeepSpeed": {"module": RAW, "optimizer": None, "global_steps": 8},
    "Lightning": LIGHTNING,
    "fastai": FASTAI,
    "optimizer state by name": {"optimizer": {"exp_avg": AVERAGED}, "model": RAW},
    "torchvision without averages": {"model": RAW, "optimizer": ADAM, "args": Namespace(lr=0.1, opt="sgd")},
    "part by part": {
        part: {name.removeprefix(f"{part}."): tensor for name, tensor in RAW.items() if name.startswith(f"{part}.")}
        for part in dict.fromkeys(name.split(".")[0] for name in RAW)
    },
    "head beside the rest": {
        name if name.startswith("head.") else f"backbone.{name}": tensor for name, tensor in RAW.items()
    },
    "a prefix that is the name of a part": under("head.", RAW),
    "head beside the rest in Lightning": {
        "state_dict": {name if name.startswith("head.") else f"body.{name}": tensor for name, tensor in RAW.items()}
    },
    "the net itself and a part of another": {**RAW, **{f"teacher.{name}": RAW[name] + 1 for name in LEARNT[:3]}},
}


@pytest.mark.parametrize("shape", ONE_COPY)
def test_a_copy_is_found_whatever_stands_around_it_and_before_its_names(tmp_path: Path, shape: str) -> None:
    found, notes = within(ONE_COPY[shape], tmp_path)
    assert equal(found, RAW)
    assert notes[0] == f"weights: {len(RAW)} of {len(RAW)} tensors loaded from w.pt"
    assert len(notes) == 1 + (shape == "the net itself and a part of another")


TWO_COPIES: dict[str, tuple[dict[str, object], str, str]] = {
    "ours": ({"model": RAW, "averaged": AVERAGED, "optimizer": ADAM}, "averaged", "model"),
    "model_ema": ({"model": RAW, "model_ema": AVERAGED}, "model_ema", "model"),
    "ema": ({"ema": AVERAGED, "model": RAW}, "ema", "model"),
    "ema_state_dict": ({"state_dict": RAW, "ema_state_dict": AVERAGED}, "ema_state_dict", "state_dict"),
    "timm": (
        {"arch": "x", "state_dict": RAW, "optimizer": ADAM, "args": Namespace(lr=0.1), "state_dict_ema": AVERAGED},
        "state_dict_ema",
        "state_dict",
    ),
    "torchvision": (
        {"model": RAW, "args": Namespace(), "model_ema": {"n_averaged": torch.tensor(5), **under("module.", AVERAGED)}},
        "model_ema.module",
        "model",
    ),
    "Lightning": (
        {"state_dict": under("model.", AVERAGED), "current_model_state": under("model.", RAW)},
        "state_dict.model",
        "current_model_state.model",
    ),
    "one module for both": (
        {"state_dict": {**under("net.", RAW), **under("ema.module.", AVERAGED)}},
        "state_dict.ema.module",
        "state_dict.net",
    ),
}


@pytest.mark.parametrize("shape", TWO_COPIES)
def test_averaged_weights_are_preferred_and_it_is_said(tmp_path: Path, shape: str) -> None:
    content, taken, passed = TWO_COPIES[shape]
    found, notes = within(content, tmp_path)
    assert equal(found, AVERAGED)
    assert notes == (
        f"weights: w.pt holds averaged weights beside others: those under '{taken}' are taken, "
        f"not those under '{passed}'",
        f"weights: {len(RAW)} of {len(RAW)} tensors loaded from w.pt",
    )


def test_an_average_of_the_parameters_alone_gets_its_statistics_from_the_weights_that_it_follows(
    tmp_path: Path,
) -> None:
    shadow = {name: AVERAGED[name] for name in LEARNT}
    found, notes = within({"model": RAW, "ema": {"decay": 0.99, "shadow": shadow}}, tmp_path)
    assert equal(found, {**RAW, **shadow})
    assert notes[0].endswith(f"not those under 'model' (but for {len(RAW) - len(shadow)} that are only there)")


def test_an_average_of_another_network_is_no_copy(tmp_path: Path) -> None:
    torch.manual_seed(4)
    wider = small_cnn(3, 3, widths=[4, 9]).state_dict()
    found, notes = within({"student": RAW, "ema_teacher": wider}, tmp_path)
    assert equal(found, RAW)
    assert "left out, because the model has none: ema_teacher.stem.0.weight, " in notes[1]


@pytest.mark.parametrize(
    ("content", "places"),
    [
        ({"student": RAW, "teacher": AVERAGED}, "under 'student' and under 'teacher'"),
        (
            {"state_dict": {**under("module.encoder_q.", RAW), **under("module.encoder_k.", AVERAGED)}},
            "under 'state_dict.module.encoder_q' and under 'state_dict.module.encoder_k'",
        ),
        ({"ema": RAW, "model_ema": AVERAGED}, "under 'ema' and under 'model_ema'"),
    ],
)
def test_of_copies_with_equal_claims_none_is_taken(tmp_path: Path, content: object, places: str) -> None:
    with pytest.raises(
        CheckpointError, match=f"w.pt holds this network 2 times, {places}, and nothing tells"
    ) as caught:
        within(content, tmp_path)
    assert "\n" not in str(caught.value)


def test_the_outermost_copy_is_taken_before_one_inside_it(tmp_path: Path) -> None:
    found, notes = within({**RAW, **under("inner.", AVERAGED)}, tmp_path)
    assert equal(found, RAW)
    assert "inner.stem.0.weight" in notes[1]


def test_a_few_names_under_a_prefix_are_no_copy() -> None:
    own = {f"layer{number}.weight": torch.zeros(2) for number in range(9)} | {"fc.weight": torch.zeros(2)}
    other = {f"block{number}.se.fc.weight": torch.ones(2) for number in range(9)}
    named, notes = named_as(own, other, "w.pt")
    assert not named.keys() & own.keys() and notes == ()


def test_what_is_left_out_beside_the_copy_is_named_and_what_only_counts_is_not(tmp_path: Path) -> None:
    content = {
        **LIGHTNING,
        "state_dict": {**under("model.", RAW), "model.extra": torch.ones(2), "loss.weight": torch.ones(3)},
    }
    found, notes = within(content, tmp_path)
    assert equal(found, RAW)
    assert set(notes[1].removeprefix("weights: left out, because the model has none: ").split(", ")) == {
        "extra",
        "state_dict.loss.weight",
    }


def test_many_names_are_told_by_the_first_of_them(tmp_path: Path) -> None:
    _, notes = within({**RAW, **{f"extra{number}": torch.ones(2) for number in range(40)}}, tmp_path)
    assert notes[1].endswith("extra8, extra9 and 30 more")


WORDS = st.sampled_from(["model", "module", "backbone", "encoder", "net", "student", "_orig_mod", "trunk", "stem", "0"])


@given(
    prefix=st.lists(WORDS, max_size=3), keys=st.lists(WORDS, max_size=3), extra=st.booleans(), optimizer=st.booleans()
)
def test_any_prefix_in_any_wrapping_is_found(prefix: list[str], keys: list[str], extra: bool, optimizer: bool) -> None:
    content: dict[str, object] = {"".join(f"{word}." for word in prefix) + name: value for name, value in RAW.items()}
    content |= {"queue": torch.ones(2)} if extra else {}
    for key in keys:
        content = {"epoch": 3, key: content, **({"optimizer": ADAM} if optimizer else {})}
    named, notes = named_as(RAW, flat(content), "w.pt")
    assert notes == () and all(named[name] is tensor for name, tensor in RAW.items())
    assert len(named) == len(RAW) + extra


@given(prefix=st.lists(WORDS, max_size=2), average=st.sampled_from(["ema", "model_ema", "state_dict_ema", "swa_model"]))
def test_any_average_is_preferred_whichever_comes_first(prefix: list[str], average: str) -> None:
    start = "".join(f"{word}." for word in prefix)
    copies = {"weights": under(start, RAW), average: under(start, AVERAGED)}
    for content in (copies, dict(reversed(copies.items()))):
        named, notes = named_as(RAW, flat(content), "w.pt")
        assert all(named[name] is tensor for name, tensor in AVERAGED.items()) and len(named) == len(RAW)
        assert len(notes) == 1


def test_a_backbone_finds_itself_in_a_checkpoint_of_lightning_and_grey_in_colour(tmp_path: Path) -> None:
    torch.manual_seed(1)
    source = backbone(7, 3, arch="mobilenet_v3_small")
    torch.save({"state_dict": under("model.", source.net.state_dict())}, tmp_path / "w.ckpt")
    model = backbone(7, 1, arch="mobilenet_v3_small", weights=str(tmp_path / "w.ckpt"))
    own, theirs = model.net.state_dict(), source.net.state_dict()
    first = "features.0.0.weight"
    assert torch.equal(own[first], theirs[first].sum(1, keepdim=True))
    assert all(torch.equal(own[name], tensor) for name, tensor in theirs.items() if name != first)
    assert model.notes == (
        "grey images: the weights of features.0.0 summed over red, green and blue",
        f"weights: {len(own)} of {len(own)} tensors loaded from w.ckpt",
    )


def test_mappings_that_hold_themselves_or_go_deep_end() -> None:
    circle: dict[str, object] = {"weight": torch.ones(2)}
    circle["self"] = circle
    deep: dict[str, object] = {"weight": torch.ones(2)}
    for _ in range(100_000):
        deep = {"a": deep}
    assert list(flat(circle)) == ["weight"] and flat(deep) == {}
    name = "a." * 1_000_000 + "weight"
    assert list(named_as({"weight": torch.ones(2)}, {name: torch.ones(2)}, "w.pt")[0]) == ["weight"]


def test_code_within_the_arguments_that_a_program_saved_is_refused_and_does_not_run(tmp_path: Path) -> None:
    torch.save({"model": RAW, "args": Namespace(evil=Malice(tmp_path / "marker"))}, tmp_path / "w.pt")
    with pytest.raises(
        CheckpointError, match=r"asks for '\w+\.system'.*never code\. .* save model\.state_dict\(\) alone"
    ):
        read(tmp_path / "w.pt")
    assert not (tmp_path / "marker").exists()
    (tmp_path / "plain.pt").write_bytes(pickle.dumps(Namespace(evil=Malice(tmp_path / "marker"))))
    with pytest.raises(CheckpointError, match="cannot be read"):
        read(tmp_path / "plain.pt")
    assert not (tmp_path / "marker").exists()


def test_a_whole_network_is_refused_with_what_to_save_instead(tmp_path: Path) -> None:
    torch.save(nn.Linear(2, 2), tmp_path / "whole.pt")
    with pytest.raises(CheckpointError, match=r"asks for 'torch\.nn\.modules\.linear\.Linear'.*save model\.state_dict"):
        read(tmp_path / "whole.pt")


@pytest.mark.filterwarnings("ignore:.*torch.jit:FutureWarning")
def test_a_torchscript_program_is_refused_as_what_it_is(tmp_path: Path) -> None:
    torch.jit.save(torch.jit.trace(nn.Linear(2, 2), torch.zeros(1, 2)), tmp_path / "w.pt")
    with pytest.raises(CheckpointError, match="it is a TorchScript program"):
        read(tmp_path / "w.pt")


@pytest.mark.parametrize("kind", ["sparse", "meta", "complex"])
def test_weights_that_are_no_plain_numbers_are_refused_in_one_line(tmp_path: Path, kind: str) -> None:
    first = RAW["stem.0.weight"]
    odd = {"sparse": first.to_sparse(), "meta": first.to("meta"), "complex": first.to(torch.complex64)}[kind]
    with pytest.raises(
        CheckpointError, match=r"'stem\.0\.weight' in w\.pt is no plain array of real numbers"
    ) as caught:
        within({**RAW, "stem.0.weight": odd}, tmp_path)
    assert "\n" not in str(caught.value)


def test_a_misspelt_checkpoint_of_another_program_is_found_too(tmp_path: Path) -> None:
    torch.save(RAW, tmp_path / "epoch-7.ckpt")
    with pytest.raises(CheckpointError, match=r"Did you mean '.*epoch-7\.ckpt'\?"):
        network(3, weights=str(tmp_path / "epoch-8.ckpt"))


def test_a_run_starts_from_the_averaged_weights_of_torchvisions_checkpoint_and_says_so(
    train: Train, tmp_path: Path
) -> None:
    content, _, _ = TWO_COPIES["torchvision"]
    torch.save({**content, "classes": ["a", "b", "c"]}, tmp_path / "w.pth")
    ended = train("name=x", "epochs=1", f"model.weights={tmp_path / 'w.pth'}")
    assert ended.code == 0, ended.err
    assert "those under 'model_ema.module' are taken, not those under 'model'" in ended.out
    assert "weights: 20 of 20 tensors loaded from w.pth" in ended.out
    assert "the head is new, because w.pth knows other classes" in ended.out
