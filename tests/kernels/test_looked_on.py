"""Kernels step aside for whoever looks on at a model: what traces, emulates, batches or counts sees torch's layers."""

import io
import shutil
import sys
import warnings
from collections.abc import Callable, Iterator
from copy import deepcopy

import pytest
import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.fx.experimental.proxy_tensor import make_fx
from torch.optim.swa_utils import update_bn
from torch.utils.flop_counter import FlopCounterMode

from trainer.aug.sampling import blended
from trainer.kernels import batch_norm, blend, compiled, winograd
from trainer.kernels.convolution import Conv2d
from trainer.kernels.use import use_kernels

pytestmark = pytest.mark.skipif(
    sys.platform != "linux" or shutil.which("gcc") is None, reason="the kernels are compiled by gcc, on Linux"
)
Look = Callable[[nn.Module, Tensor], Tensor]


@pytest.fixture(autouse=True)
def called(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """The kernels that were called."""
    names: list[str] = []

    def note(name: str, *arguments: Tensor) -> None:
        names.append(name)
        compiled.call(name, *arguments)

    for module in (batch_norm, blend, winograd):
        monkeypatch.setattr(module, "call", note)
    yield names


def twins() -> tuple[nn.Module, nn.Module, Tensor]:
    """A model with kernels, the same without, and images on which all of the kernels are used."""
    torch.manual_seed(0)
    plain = nn.Sequential(nn.Conv2d(16, 16, 3, padding=1), nn.BatchNorm2d(16), nn.ReLU())
    fast = deepcopy(plain)
    use_kernels(fast, torch.float32)
    return fast, plain, torch.randn(4, 16, 8, 8).contiguous(memory_format=torch.channels_last)


def exported(model: nn.Module, images: Tensor) -> Tensor:
    result: Tensor = torch.export.export(model, (images,)).module()(images)
    return result


def traced(model: nn.Module, images: Tensor) -> Tensor:
    result: Tensor = torch.jit.trace(model, images, check_trace=False)(images)  # type: ignore[no-untyped-call]
    return result


def as_a_graph(model: nn.Module, images: Tensor) -> Tensor:
    weights = dict(model.named_parameters()) | dict(model.named_buffers())

    def run(weights: dict[str, Tensor], images: Tensor) -> Tensor:
        result: Tensor = torch.func.functional_call(model, weights, (images,))
        return result

    graph = make_fx(run)(weights, images)
    names = {str(node.target) for node in graph.graph.nodes}
    assert any("convolution" in name for name in names) and any("batch_norm" in name for name in names)
    result: Tensor = graph(weights, images)
    return result


def counted(model: nn.Module, images: Tensor) -> Tensor:
    with FlopCounterMode(display=False) as counter:
        result: Tensor = model(images)
    assert counter.get_total_flops() == 2 * 4 * 8 * 8 * 16 * 16 * 9
    return result


def differentiated(model: nn.Module, images: Tensor) -> Tensor:
    def loss(images: Tensor) -> Tensor:
        return model(images).square().sum()  # type: ignore[no-any-return]

    model.eval()  # in training even torch's own norm refuses to move what it was not given
    result: Tensor = torch.func.grad(loss)(images)
    return result


def pushed_forward(model: nn.Module, images: Tensor) -> Tensor:
    return torch.func.jvp(model.eval(), (images,), (torch.ones_like(images),))[1]


LOOKS: dict[str, Look] = {
    "torch.export": exported,
    "torch.jit.trace": traced,
    "make_fx": as_a_graph,
    "a counter of operations": counted,
    "torch.func.grad": differentiated,
    "torch.func.jvp": pushed_forward,
}


@pytest.mark.parametrize("name", LOOKS)
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore:.*Trac", "ignore::FutureWarning")
def test_who_looks_on_sees_what_torch_does(name: str, called: list[str]) -> None:
    fast, plain, images = twins()
    seen, true = LOOKS[name](fast, images), LOOKS[name](plain, images)
    torch.testing.assert_close(seen, true, rtol=1e-5, atol=1e-5)
    assert called == []


def test_while_nobody_looks_on_the_kernels_are_used(called: list[str]) -> None:
    fast, _, images = twins()
    fast(images)
    assert called == ["winograd_convolve", "batch_norm_forward"]


def test_fake_tensors_pass_through_and_have_the_shape(called: list[str]) -> None:
    fast, _, images = twins()
    with FakeTensorMode(allow_non_fake_inputs=True) as mode:
        fake = mode.from_tensor(images)
        assert fast(fake).shape == images.shape
        weights = torch.zeros(4, dtype=torch.int16)
        assert blend.blend(torch.zeros(4, 3, 8, 8, dtype=torch.uint8), weights).shape == (4, 3, 8, 8)
    assert called == []


def test_weights_without_memory_are_not_read(called: list[str]) -> None:
    fast, _, images = twins()
    assert fast.to("meta")(images.to("meta")).shape == images.shape
    assert called == []


def test_a_kernel_within_vmap_gives_what_it_gives_image_by_image(called: list[str]) -> None:
    fast, plain, images = twins()
    batches = torch.stack([images, images.flip(0)])
    torch.testing.assert_close(torch.vmap(fast.eval())(batches), torch.vmap(plain.eval())(batches))
    assert called == []


def test_products_for_matrix_tiles_step_aside_too() -> None:
    torch.manual_seed(0)
    plain = nn.Conv2d(128, 8, 3, padding=1).bfloat16()
    tiled, images = deepcopy(plain), torch.randn(2, 3, 128, 4, 4).bfloat16()
    tiled.__class__, tiled.tiled = Conv2d, True
    torch.testing.assert_close(torch.vmap(tiled)(images), torch.vmap(plain)(images))
    assert not isinstance(tiled(images[0]).grad_fn, type(plain(images[0]).grad_fn)), "the control: else it acts"


def test_the_blend_within_vmap_is_torchs(called: list[str]) -> None:
    images, weights = torch.randint(0, 256, (2, 3, 1, 8, 8), dtype=torch.uint8), torch.tensor([[1, 2, 3]] * 2).short()
    together = torch.stack([blended(*each) for each in zip(images, weights, strict=True)])
    assert torch.equal(make_fx(blend.blend)(images[0], weights[0])(images[0], weights[0]), together[0])
    assert called == []


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning", "ignore::FutureWarning")
def test_the_older_export_to_onnx_holds_torchs_layers(called: list[str]) -> None:
    onnx = pytest.importorskip("onnx")
    fast, _, images = twins()
    file = io.BytesIO()
    torch.onnx.export(fast.eval(), (images,), file, dynamo=False)
    kinds = [node.op_type for node in onnx.load_from_string(file.getvalue()).graph.node]
    assert kinds == ["Conv", "Relu"]  # the norm is folded into the convolution
    assert called == []


def test_statistics_that_torch_gathers_anew_over_all_batches_are_gathered(called: list[str]) -> None:
    fast, plain, images = twins()
    for model in (fast, plain):
        update_bn([images, images * 2 + 1], model)
    norms = [model[1] for model in (fast, plain)]  # type: ignore[index]
    for name in ("running_mean", "running_var", "num_batches_tracked"):
        torch.testing.assert_close(*(getattr(norm, name) for norm in norms), rtol=1e-4, atol=1e-4)
    assert "batch_norm_forward" not in called and norms[0].momentum == 0.1


def test_a_norm_that_was_told_to_track_nothing_does_what_torch_does() -> None:
    fast, plain, images = twins()
    for model in (fast, plain):
        norm = model[1]  # type: ignore[index]
        norm.track_running_stats, norm.running_mean, norm.running_var = False, None, None
        norm.num_batches_tracked = None
    torch.testing.assert_close(fast(images), plain(images), rtol=1e-4, atol=1e-4)


def test_the_compiler_takes_a_model_with_kernels_apart(called: list[str]) -> None:
    fast, plain, images = twins()
    with warnings.catch_warnings(action="ignore"):
        compiled_model = torch.compile(fast, backend="aot_eager", fullgraph=True)
        torch.testing.assert_close(compiled_model(images), plain(images), rtol=1e-5, atol=1e-5)
    assert called == []
