"""Batch norm over several processes, beside torch's own over the whole batch."""

from copy import deepcopy
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
from several import together
from timm.layers import BatchNormAct2d
from torch import Tensor, nn

from trainer.errors import ConfigError
from trainer.parallel.batch_norm import SharedBatchNorm, SharedBatchNormAct, share_norms
from trainer.parallel.place import Place

SIZE, IMAGES = 3, 7
OPTIONS = ({}, {"momentum": None}, {"affine": False}, {"track_running_stats": False})


def passed(norm: nn.Module, images: Tensor, wanted: Tensor) -> list[Tensor]:
    """What two steps give out, their gradients, and the running figures after them."""
    found = []
    for _ in range(2):
        leaf = images.clone().requires_grad_()
        out = norm(leaf)
        norm.zero_grad()
        (out * wanted).sum().backward()
        found += [out.detach(), leaf.grad, *(each.grad.clone() for each in norm.parameters())]
    return [*found, *norm.buffers()]


def test_it_gives_what_batch_norm_gives_of_the_whole_batch(tmp_path: Path) -> None:
    torch.manual_seed(0)
    images, wanted = 3 + 2 * torch.randn(IMAGES, 4, 5, 6), torch.randn(IMAGES, 4, 5, 6)
    layers = nn.ModuleList([*(nn.BatchNorm2d(4, **options) for options in OPTIONS), BatchNormAct2d(4)])
    with torch.no_grad():
        for parameter in layers.parameters():
            parameter.uniform_(0.5, 2)

    def work(rank: int) -> None:
        dist.init_process_group("gloo", init_method="env://")
        own = Place(rank, SIZE, rank, SIZE).share(IMAGES)
        plain = [passed(layer, images[own], wanted[own]) for layer in deepcopy(layers)]
        share_norms(layers)
        assert [type(layer) for layer in layers] == [*[SharedBatchNorm] * len(OPTIONS), SharedBatchNormAct]
        torch.save([plain, [passed(layer, images[own], wanted[own]) for layer in layers]], tmp_path / f"{rank}.pt")

    together(SIZE, work, tmp_path)
    plain, shared = zip(*[torch.load(tmp_path / f"{rank}.pt") for rank in range(SIZE)], strict=True)
    for number, layer in enumerate(layers):
        whole = passed(layer.double(), images.double(), wanted.double())
        for expected, *shares in zip(whole, *(each[number] for each in shared), strict=True):
            torch.testing.assert_close(joined(expected, shares), expected, rtol=3e-6, atol=3e-6)
        alone = joined(whole[0], [each[number][0] for each in plain])
        assert (alone - whole[0]).abs().max() > 0.01, "the control: each by its own share"


def joined(expected: Tensor, shares: list[Tensor]) -> Tensor:
    """What the shares come to: all images, the sum of the parts of a weight's gradient, or what all have alike."""
    if expected.shape[:1] == (IMAGES,):
        return torch.cat(shares).double()
    if any(not torch.equal(shares[0], each) for each in shares[1:]):
        return torch.stack(shares).sum(0).double()
    return shares[0].to(expected.dtype)


def test_it_keeps_its_names_and_weights_and_is_plain_in_evaluation() -> None:
    model = nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4), nn.LayerNorm(5)).eval()
    images, before = torch.randn(2, 3, 5, 5), list(model.state_dict())
    expected = model(images)
    share_norms(model)
    assert list(model.state_dict()) == before and torch.equal(model(images), expected)


def test_a_batch_norm_of_an_unknown_kind_is_refused_by_its_name() -> None:
    class Ghost(nn.BatchNorm2d):
        """One that may do anything."""

    with pytest.raises(ConfigError, match="sync_batch_norm: the network has a batch norm of a kind of its own, Ghost"):
        share_norms(nn.Sequential(nn.BatchNorm2d(4), Ghost(4)))
