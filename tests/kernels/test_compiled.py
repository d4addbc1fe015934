"""The compiled kernels: what they give against torch in double precision, and how they come to be there."""

import os
import shutil
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from copy import deepcopy
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from shared import Ended, lines_of
from torch import Tensor, nn

from trainer.aug.sampling import blended
from trainer.kernels import batch_norm, compiled
from trainer.kernels.batch_norm import fuse_norms
from trainer.kernels.blend import blend
from trainer.kernels.use import use_kernels
from trainer.kernels.winograd import Winograd, suits
from trainer.records.folder import read_json

pytestmark = pytest.mark.skipif(
    sys.platform != "linux" or shutil.which("gcc") is None, reason="the kernels are compiled by gcc, on Linux"
)


@pytest.fixture(scope="module", autouse=True)
def kernels() -> None:
    assert compiled.library().kernels is not None, compiled.library().reason


def _last(*shape: int) -> Tensor:
    return torch.randn(*shape).contiguous(memory_format=torch.channels_last)


THREADS = """
import torch
import torch.nn.functional as F
from trainer.kernels.winograd import Winograd

def all_of(convolve, images, weight):
    given = [each.clone().requires_grad_() for each in (images, weight)]
    result = convolve(*given)
    (result * torch.arange(result.numel()).view(result.shape).cos()).sum().backward()
    return result.detach(), given[0].grad, given[1].grad

# With stretches of a thread's own, with shared weights, with fewer panels than threads.
for batch, channels, out, side in ((64, 16, 32, 28), (20, 160, 144, 14), (4, 16, 16, 9)):
    images = torch.randn(batch, channels, side, side).contiguous(memory_format=torch.channels_last)
    weight = torch.randn(out, channels, 3, 3)
    for stride in (1, 2):
        first, again = (all_of(lambda *each: Winograd.apply(*each, stride), images, weight) for _ in range(2))
        exact = all_of(lambda *each: F.conv2d(*each, stride=stride, padding=1), images.double(), weight.double())
        assert all(torch.equal(*pair) for pair in zip(first, again))
        assert all((ours - true).abs().max() < 3e-4 * true.std() for ours, true in zip(first, exact))
"""


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("layout", [torch.channels_last, torch.contiguous_format])
@pytest.mark.parametrize(
    ("batch", "channels", "out", "height", "width"),
    [
        *[(2, 16, 16, 14, 14), (3, 32, 48, 7, 7), (16, 16, 32, 4, 4), (1, 16, 16, 17, 30), (2, 64, 16, 13, 9)],
        (16, 16, 32, 28, 28),  # each thread has stretches of its own
        (2, 144, 48, 8, 8),  # more channels than are transformed at a time
        (20, 160, 144, 14, 14),  # weights too large for a thread, tiles too many for a stretch
    ],
)
def test_winograd_and_its_gradients_are_those_of_the_convolution_in_double_precision(
    batch: int, channels: int, out: int, height: int, width: int, layout: torch.memory_format, stride: int
) -> None:
    torch.manual_seed(0)
    images = _last(batch, channels, height, width).requires_grad_()
    weight = torch.randn(out, channels, 3, 3).contiguous(memory_format=layout).requires_grad_()
    result = Winograd.apply(images, weight, stride)
    seed = torch.randn(*result.shape)  # of another layout, as a pooling's gradient may be
    result.backward(seed)

    exact_images, exact_weight = (each.detach().double().requires_grad_() for each in (images, weight))
    exact = F.conv2d(exact_images, exact_weight, stride=stride, padding=1)
    exact.backward(seed.double())
    pairs = ((result, exact), (images.grad, exact_images.grad), (weight.grad, exact_weight.grad))
    for ours, true in pairs:
        assert ours is not None and true is not None
        assert (ours.double() - true).abs().max() < 3e-4 * true.std()


@pytest.mark.slow
@pytest.mark.parametrize(
    "variables", [{"OMP_NUM_THREADS": "3"}, {"OMP_NUM_THREADS": "2,5", "OMP_MAX_ACTIVE_LEVELS": "2"}]
)
def test_several_threads_give_the_convolution_and_the_same_bits_again(variables: dict[str, str]) -> None:
    environment = {**os.environ, **variables}
    subprocess.run([sys.executable, "-c", THREADS], env=environment, check=True, timeout=120)


@given(st.lists(st.integers(-128, 120), max_size=5), st.integers(1, 3), st.integers(1, 70), st.integers(1, 70))
def test_the_blend_is_the_one_of_torch_to_the_bit(weights: list[int], channels: int, height: int, width: int) -> None:
    images = torch.randint(0, 256, (len(weights), channels, height, width), dtype=torch.uint8)
    given_weights = torch.tensor(weights, dtype=torch.int16)
    assert torch.equal(blend(images, given_weights), blended(images, given_weights))
    turned = images.transpose(2, 3)  # as it does not lie in memory
    assert torch.equal(blend(turned, given_weights), blended(turned, given_weights))


def test_a_batch_of_many_stretches_gives_what_its_images_give_alone() -> None:
    torch.manual_seed(0)
    images, weight = _last(24, 64, 48, 48), torch.randn(64, 64, 3, 3)  # 3,456 tiles: far more than one stretch holds
    whole = Winograd.apply(images, weight, 1)
    assert all(
        torch.equal(whole[each : each + 1], Winograd.apply(images[each : each + 1], weight, 1)) for each in (0, 7, 23)
    )
    grads = [_weight_grad(part, weight) for part in (images, *images.split(8))]
    torch.testing.assert_close(grads[0], grads[1] + grads[2] + grads[3], rtol=1e-3, atol=1e-3 * float(grads[0].std()))


def test_many_tiles_of_one_sign_cost_the_weights_gradient_no_digits() -> None:
    torch.manual_seed(0)
    images, weight = _last(48, 16, 64, 64).relu(), torch.randn(16, 16, 3, 3)  # 12,288 tiles
    ours, true = _weight_grad(images, weight), torch.zeros_like(weight, dtype=torch.float64)
    true = torch.nn.grad.conv2d_weight(images.double(), weight.shape, torch.ones(48, 16, 64, 64).double(), padding=1)
    assert ((ours.double() - true).abs() / true.abs()).max() < 1e-5


def _weight_grad(images: Tensor, weight: Tensor) -> Tensor:
    weight = weight.clone().requires_grad_()
    Winograd.apply(images, weight, 1).sum().backward()
    assert weight.grad is not None
    return weight.grad


@pytest.mark.parametrize(
    ("module", "shape"),
    [
        (nn.Conv2d(16, 16, 3, stride=3, padding=1), (4, 16, 16, 16)),
        (nn.Conv2d(16, 16, 3), (4, 16, 16, 16)),
        (nn.Conv2d(16, 16, 5, padding=1), (4, 16, 16, 16)),
        (nn.Conv2d(3, 16, 3, padding=1), (4, 3, 16, 16)),
        (nn.Conv2d(16, 10, 3, padding=1), (4, 16, 16, 16)),
        (nn.Conv2d(16, 16, 3, padding=1), (1, 16, 4, 4)),
        (nn.Conv2d(16, 16, 3, stride=2, padding=1), (4, 16, 16, 16)),
        (nn.Conv2d(16, 16, 3, padding=1), (64, 16, 2, 2)),
        (nn.Conv2d(16, 16, 3, padding=1).double(), (4, 16, 16, 16)),
    ],
    ids=[
        "stride 3",
        "unpadded",
        "another kernel",
        "three channels",
        "ten channels",
        "few tiles",
        "few of stride 2",
        "tiny maps",
        "double",
    ],
)
def test_what_the_kernel_does_not_know_or_would_not_hasten_is_left_to_torch(
    module: nn.Conv2d, shape: tuple[int, ...]
) -> None:
    images = _last(*shape).to(module.weight.dtype)
    assert not suits(images, module)
    known = nn.Conv2d(16, 16, 3, padding=1)
    assert suits(_last(4, 16, 16, 16), known)
    assert not suits(torch.randn(4, 16, 16, 16), known)  # another layout
    fast = nn.Sequential(deepcopy(module))
    use_kernels(fast, torch.float32)
    assert torch.equal(fast(images), module(images))


def test_a_weight_of_another_shape_than_its_module_says_is_left_to_torch() -> None:
    module = nn.Conv2d(32, 32, 3, padding=1, bias=False)
    module.weight = nn.Parameter(module.weight[:10])  # as pruning leaves it
    images, pruned = _last(4, 32, 16, 16), nn.Sequential(module)
    expected = F.conv2d(images, module.weight, padding=1)
    use_kernels(pruned, torch.float32)
    assert torch.equal(pruned(images), expected)
    with pytest.raises(RuntimeError, match="channels"):
        pruned(_last(4, 48, 16, 16))


def test_a_relu_is_done_by_the_norm_right_before_it_alone() -> None:
    torch.manual_seed(0)
    pool = nn.AvgPool2d(2)
    model = nn.Sequential(pool, nn.BatchNorm2d(16), pool, nn.ReLU())
    fast, images = deepcopy(model), _last(4, 16, 8, 8)
    use_kernels(fast, torch.float32)
    torch.testing.assert_close(fast(images), model(images))
    assert type(fast[3]) is nn.ReLU


def test_a_norm_of_momentum_one_follows_the_batch() -> None:
    norm = nn.Sequential(nn.BatchNorm2d(16, momentum=1))
    exact, images = deepcopy(norm), _last(4, 16, 8, 8)
    use_kernels(norm, torch.float32)
    torch.testing.assert_close(norm(images), exact(images), rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(norm[0].running_mean, exact[0].running_mean)


def test_a_second_derivative_is_refused_rather_than_lost() -> None:
    images = _last(4, 16, 8, 8).requires_grad_()
    convolved = Winograd.apply(images, torch.randn(16, 16, 3, 3), 1)
    (grad,) = torch.autograd.grad(convolved.square().sum(), images, create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        grad.sum().backward()


@pytest.mark.parametrize("rectify", [False, True])
@pytest.mark.parametrize("shape", [(2, 16, 3, 3), (32, 16, 9, 9), (5, 48, 20, 20)])
def test_the_norm_and_its_gradients_are_those_of_torch_in_double_precision(
    shape: tuple[int, ...], rectify: bool
) -> None:
    torch.manual_seed(0)
    layers = [nn.BatchNorm2d(shape[1]), *([nn.ReLU(inplace=True)] if rectify else [])]
    torch.nn.init.uniform_(layers[0].weight, -1, 1)  # type: ignore[arg-type]
    torch.nn.init.normal_(layers[0].bias)  # type: ignore[arg-type]
    exact = nn.Sequential(*layers).double()
    fast = deepcopy(exact).float()
    use_kernels(fast, torch.float32)
    images, seed = _last(*shape) * 3 + 100, _last(*shape)  # a mean that costs digits
    results = []
    for model, dtype in ((fast, torch.float32), (exact, torch.float64)):
        given = images.to(dtype, copy=True).requires_grad_()
        result = model(given)
        result.backward(seed.to(dtype))
        grads = [parameter.grad for parameter in model.parameters()]
        results.append([result, given.grad, *grads, *model.buffers()])
    for ours, true in zip(*results, strict=True):
        torch.testing.assert_close(ours.double(), true.double(), rtol=1e-4, atol=1e-4)


def test_a_norm_that_is_evaluated_or_frozen_does_what_torch_does() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.BatchNorm2d(16), nn.ReLU())
    fast = deepcopy(model)
    use_kernels(fast, torch.float32)
    assert [type(layer) for layer in fast] == [batch_norm.BatchNorm2d, batch_norm.ReLU]
    images = _last(4, 16, 5, 5)
    fast(images)  # so that the running figures differ from zero and one
    model.load_state_dict(fast.state_dict())
    assert torch.equal(fast.eval()(images), model.eval()(images))


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_what_is_not_finite_is_not_hidden(value: float) -> None:
    model = nn.Sequential(nn.Conv2d(16, 16, 3, padding=1, bias=False), nn.BatchNorm2d(16), nn.ReLU())
    use_kernels(model, torch.float32)
    images = _last(4, 16, 8, 8)
    images[2, 3, 4, 5] = value
    assert model(images).isnan().any()


@pytest.mark.parametrize("affine", [False, True])
def test_norms_of_another_kind_are_left_to_torch(affine: bool) -> None:
    other = nn.BatchNorm2d(16, momentum=None) if affine else nn.BatchNorm2d(16, affine=False)
    model = nn.Sequential(other, nn.ReLU())
    use_kernels(model, torch.float32)
    assert [type(layer) for layer in model] == [nn.BatchNorm2d, nn.ReLU]


@pytest.fixture
def anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A machine on which nothing is compiled yet: the folder where kernels will lie."""
    caches = (compiled.library, compiled._path, compiled._compiler)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    for each in caches:
        each.cache_clear()
    yield tmp_path / "trainer" / "kernels"
    monkeypatch.undo()
    for each in caches:
        each.cache_clear()


def test_kernels_are_compiled_once_and_found_by_the_next_process(anew: Path) -> None:
    assert compiled.library().kernels is not None
    (library,) = anew.glob("*.so")
    before = library.stat().st_mtime_ns
    compiled.library.cache_clear()
    assert compiled.library().kernels is not None
    assert library.stat().st_mtime_ns == before
    assert sorted(path.suffix for path in anew.iterdir()) == [".lock", ".so"]  # nothing half-made


def test_vectors_as_wide_as_on_other_processors_give_the_same(anew: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    images, weight = _last(4, 32, 9, 9), torch.randn(16, 32, 3, 3)
    norm = nn.Sequential(nn.BatchNorm2d(32), nn.ReLU())
    fuse_norms(norm)
    results = []
    for lanes in (8, 16):
        monkeypatch.setattr(compiled, "_FLAGS", (*compiled._FLAGS[:5], "-Wno-psabi", f"-DLANES={lanes}"))
        compiled.library.cache_clear()
        compiled._path.cache_clear()
        given = [each.clone().requires_grad_() for each in (images, weight)]
        outputs = [Winograd.apply(*given, 1), Winograd.apply(*given, 2), norm(given[0])]
        sum(each.square().sum() for each in outputs).backward()
        results.append([*outputs, given[0].grad, given[1].grad])
    assert len(list(anew.glob("*.so"))) == 2
    for narrow, wide in zip(*results, strict=True):
        torch.testing.assert_close(narrow, wide, rtol=1e-4, atol=1e-3)


def test_a_compiler_that_fails_costs_a_line(anew: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compiled, "_FLAGS", ("--no-such-flag",))
    used = use_kernels(nn.Sequential(), torch.float32)
    assert used.name == "torch" and "cannot compile" in used.note and "no-such-flag" in used.note
    assert not list(anew.glob("*.so"))


def test_a_library_in_a_folder_of_another_user_is_not_loaded(anew: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.getuid", lambda: 4711)
    assert "belongs to others" in use_kernels(nn.Sequential(), torch.float32).note


def test_the_cache_folder_is_its_owners_alone(anew: Path) -> None:
    before = os.umask(0o022)
    try:
        assert compiled.library().kernels is not None
    finally:
        os.umask(before)
    assert [stat.S_IMODE(folder.stat().st_mode) for folder in (anew, anew.parent)] == [0o700, 0o700]


def test_a_cache_folder_that_cannot_be_looked_into_costs_a_line(
    locked: Path, monkeypatch: pytest.MonkeyPatch, train: Callable[..., Ended]
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(locked / "within"))
    for each in (compiled.library, compiled._path):
        each.cache_clear()
    try:
        ended = train("name=run", "epochs=1", "data.cache=ram")
    finally:
        monkeypatch.undo()
        for each in (compiled.library, compiled._path):
            each.cache_clear()
    assert ended.code == 0, ended.err
    assert "cannot be used (Permission denied)" in ended.out


def test_a_run_with_kernels_learns_as_one_without_but_for_rounding(train: Callable[..., Ended], tmp_path: Path) -> None:
    words = ("model.widths=[16,32]", "data.size=16", "epochs=1", "optim.lr=1e-4", "log_every=1")
    losses = []
    for kernels in ("auto", "torch"):
        assert train(f"name={kernels}", f"kernels={kernels}", *words).code == 0
        folder = tmp_path / "outputs" / kernels
        told = read_json(folder / "run.json")["kernels"]
        assert told == {"auto": f"compiled {compiled.library().name}", "torch": "torch"}[kernels]
        losses.append([line["loss"] for line in lines_of(folder / "metrics.jsonl", "step")])
    assert losses[0] == pytest.approx(losses[1], rel=1e-4)
    assert losses[0] != losses[1]  # else the kernels were not used


def test_the_kernels_bring_no_threads_of_their_own() -> None:
    found = subprocess.run(["readelf", "-d", str(compiled._path())], capture_output=True, text=True, check=False)
    if found.returncode:
        pytest.skip("no readelf")
    assert "libgomp" not in found.stdout and "NEEDED" in found.stdout
