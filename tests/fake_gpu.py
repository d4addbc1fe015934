"""A GPU that this machine lacks: tensors on it have shape, type and place, and no numbers. The CPU's are real.

Every operation of a training passes through `FakeGpu`, which raises where two devices meet and no number of the CPU
stands for itself, and notes each launch, each wait of the host for the device, and each double on the device. What it
cannot do: the backward pass, whose engine asks the real CUDA for its streams (each parameter is given a gradient
instead), and time.
"""

import contextlib
import re
import traceback
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode
from torch.cuda.amp import common
from torch.nn.utils import clip_grad
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten, tree_map

from trainer.build import training
from trainer.build.training import Job
from trainer.cli.compose import Origin, compose
from trainer.config import conf_folder
from trainer.engine import device, loop
from trainer.engine.interrupt import Interrupt

needs_cuda_build = pytest.mark.skipif(
    torch.version.cuda is None or torch.cuda.is_available(),
    reason="to emulate a GPU takes torch's build for CUDA, and a machine that has none",
)
_VIEWS = frozenset(
    re.findall(
        r"\w+",
        "alias as_strided detach detach_ device diagonal empty empty_like empty_strided expand lift_fresh "
        "new_empty new_empty_strided permute select set_ slice split split_with_sizes squeeze t transpose unbind "
        "unfold unsqueeze view _reshape_alias _unsafe_view",
    )
)
_SIZES = ("bincount", "equal", "masked_select", "nonzero", "unique_dim", "_unique2")
_WITHOUT_FAKES = ("_fused_adagrad_", "_fused_sgd_")


@dataclass(frozen=True)
class Note:
    """Something that happened: in which part of the step, what, and at which line of the program."""

    part: str
    what: str
    line: str


class FakeGpu(TorchDispatchMode):
    """The device, and what was noted on it."""

    def __init__(self, device: torch.device) -> None:
        super().__init__()
        self.device = device
        self.launches: list[Note] = []
        self.waits: list[Note] = []
        self.doubles: list[Note] = []
        self._parts = ["besides"]
        self._mode = FakeTensorMode(allow_non_fake_inputs=True)
        self._pinned: list[Tensor] = []
        """Kept, so that no other memory has its place."""

    def forget(self) -> None:
        for noted in (self.launches, self.waits, self.doubles):
            noted.clear()

    @property
    def counts(self) -> Counter[str]:
        """Launches in each part of the step."""
        return Counter(note.part for note in self.launches)

    @contextlib.contextmanager
    def during(self, part: str) -> Iterator[None]:
        self._parts.append(part)
        yield
        self._parts.pop()

    def as_part(self, part: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def inner(*args: Any, **kwargs: Any) -> Any:
            with self.during(part):
                return function(*args, **kwargs)

        return inner

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs, name = kwargs or {}, func.overloadpacket.__name__
        flat = [each for each in tree_flatten((args, kwargs))[0] if isinstance(each, Tensor)]
        here = [each for each in flat if each.device == self.device]
        if kwargs.pop("pin_memory", None):
            self._pinned.append(func(*args, **kwargs))
            return self._pinned[-1]
        wanted = None if kwargs.get("device") is None else torch.device(kwargs["device"]).type
        if not any(isinstance(each, FakeTensor) for each in flat) and wanted != self.device.type:
            return func(*args, **kwargs)
        if here and name == "_local_scalar_dense":
            self._note(self.waits, "a number is read")
            return True if args[0].dtype is torch.bool else args[0].dtype.is_floating_point * 0.0
        if here and (wanted == "cpu" or (name == "copy_" and not isinstance(args[0], FakeTensor))):
            self._note(self.waits, "a copy to the CPU")
            return args[0] if name == "copy_" else torch.zeros(args[0].shape, dtype=kwargs.get("dtype", args[0].dtype))
        if reason := self._waits(name, args, kwargs, flat, here, wanted):
            self._note(self.waits, reason)
        if name not in _VIEWS:
            self._note(self.launches, name)
        if name in _WITHOUT_FAKES:
            assert len(here) == len(flat), f"{name}: devices mix"
            return None
        args, kwargs = tree_map(self._faked, (args, kwargs))
        with self._mode:
            result = func(*args, **kwargs)
        for each in tree_flatten(result)[0]:
            if isinstance(each, Tensor) and each.device == self.device and each.dtype is torch.float64:
                self._note(self.doubles, name)
        return result

    def _waits(self, name: str, args: Any, kwargs: Any, flat: list[Any], here: list[Any], wanted: str | None) -> str:
        """Why the host would wait, where it would."""
        if here and name in _SIZES:
            return "a size that the device alone knows"
        if here and name in ("index", "index_put", "index_put_"):
            indices = [each for each in args[1] if each is not None]
            if any(each.dtype in (torch.bool, torch.uint8) for each in indices):
                return "a mask, whose size the device alone knows"
            if any(each.device.type == "cpu" for each in indices):
                return "a blocking copy of an index"
        if name == "_to_copy" and wanted == self.device.type and not here:
            return self._of_copy(args[0], blocking=not kwargs.get("non_blocking"))
        if name == "copy_" and here and args[1].device.type == "cpu":
            return "a blocking copy"
        if name == "where" and here and len(here) < len(flat):
            return "a blocking copy of a number"
        return ""

    def _of_copy(self, source: Tensor, *, blocking: bool) -> str:
        if blocking:
            return "a blocking copy"
        storages = {each.untyped_storage().data_ptr() for each in self._pinned}
        return "" if source.untyped_storage().data_ptr() in storages else "a copy from memory that is not pinned"

    def _note(self, noted: list[Note], what: str) -> None:
        frames = [each for each in traceback.extract_stack() if "/trainer/" in each.filename]
        inside = [each for each in frames if "site-packages" not in each.filename]
        place = inside[-1] if inside else None
        line = f"{place.filename.rpartition('/trainer/')[2]}: {place.line}" if place else "?"
        noted.append(Note(self._parts[-1], what, line))

    def _faked(self, value: Any) -> Any:
        """A tensor of the CPU without its numbers: else torch would go on computing with these, for real."""
        if not isinstance(value, Tensor) or isinstance(value, FakeTensor):
            return value
        with torch._C._DisableTorchDispatch():  # type: ignore[attr-defined]
            shell = torch.empty_strided(value.size(), value.stride(), dtype=value.dtype, device="meta")
        return FakeTensor(self._mode, shell, torch.device("cpu"))


class _Stream:
    def __init__(self, device: object = None) -> None: ...
    def wait_stream(self, other: object) -> None: ...
    def wait_event(self, event: object) -> None: ...
    def record_event(self) -> None: ...


class _AtOnce:
    """A thread, so to speak: torch's modes act in one thread alone."""

    def __init__(self, *_: object) -> None: ...

    def submit(self, work: Callable[[], Any]) -> Future[Any]:
        done = Future[Any]()
        done.set_result(work())
        return done

    def shutdown(self, *, cancel_futures: bool) -> None: ...


def _apply(self: nn.Module, function: Callable[[Tensor], Tensor], recurse: bool = True) -> nn.Module:
    """As nn.Module has it, without swapping tensors, which a FakeTensor does not bear."""
    for child in self.children():
        _apply(child, function)
    for key, parameter in self._parameters.items():
        if parameter is not None:
            with torch.no_grad():
                self._parameters[key] = nn.Parameter(function(parameter), parameter.requires_grad)
    for key, buffer in self._buffers.items():
        if buffer is not None:
            self._buffers[key] = function(buffer)
    return self


@contextlib.contextmanager
def flags_put_back() -> Iterator[None]:
    """Puts back what is set for the whole process of torch's ways on CUDA."""
    products, cudnn = torch.backends.cuda.matmul, torch.backends.cudnn
    before = products.allow_tf32, cudnn.allow_tf32, cudnn.deterministic, cudnn.benchmark
    try:
        yield
    finally:
        products.allow_tf32, cudnn.allow_tf32, cudnn.deterministic, cudnn.benchmark = before
        torch.use_deterministic_algorithms(False)
        torch._C._set_deterministic_fill_uninitialized_memory(True)


@contextlib.contextmanager
def fake_gpu(patch: pytest.MonkeyPatch) -> Iterator[FakeGpu]:
    """A process in which torch has a CUDA device."""
    gpu = FakeGpu(torch.device("cuda", 0))
    torch._C._ensureCUDADeviceGuardSet()  # a guard that asks no driver
    for name, value in {
        "is_available": lambda: True,
        "is_bf16_supported": lambda including_emulation=True: True,
        "get_device_name": lambda device=None: "an emulated GPU",
        "mem_get_info": lambda device=None: (2**30, 2**30),
        "get_device_capability": lambda device=None: (9, 0),
        "_lazy_init": lambda: None,
        "Stream": _Stream,
        "stream": lambda stream: contextlib.nullcontext(),
        "current_stream": lambda device=None: _Stream(),
        "manual_seed": lambda seed: None,
        "manual_seed_all": lambda seed: None,
    }.items():
        patch.setattr(torch.cuda, name, value)
    patch.setattr(device, "ThreadPoolExecutor", _AtOnce)
    patch.setattr(Tensor, "record_stream", lambda tensor, stream: None)
    patch.setattr(common, "amp_definitely_not_available", lambda: False)
    patch.setattr(torch.backends.cudnn, "version", lambda: 91_000)
    patch.setattr(
        clip_grad, "_has_foreach_support", lambda tensors, device: True
    )  # by its class, a FakeTensor has none
    patch.setattr(nn.Module, "_apply", _apply)
    patch.setattr(training, "choose_device", lambda wanted: gpu.device)  # with its number: else torch asks the driver
    patch.setenv("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    lifted = torch._C._only_lift_cpu_tensors()
    torch._C._set_only_lift_cpu_tensors(True)
    device._side_stream.cache_clear()
    try:
        with flags_put_back(), torch.autograd.set_multithreading_enabled(False), gpu:
            yield gpu
    finally:
        torch._C._set_only_lift_cpu_tensors(lifted)
        device._side_stream.cache_clear()


def built(words: Sequence[str]) -> Job:
    """The run that the words describe, on the device."""
    return training.build(compose(list(words), Origin(conf_folder())), lambda *_: None)


def take_steps(gpu: FakeGpu, patch: pytest.MonkeyPatch, job: Job, count: int = 2) -> None:
    """Trains for so many steps; what is noted afterwards is of the last, and of preparing the batch after it."""
    parameters = [each for each in job.state.model.parameters() if each.requires_grad]

    def backward(loss: Tensor) -> None:
        assert loss.device == gpu.device and loss.dim() == 0 and loss.requires_grad
        with gpu.during("backward"):
            for each in parameters:
                each.grad = torch.empty_like(each) if each.grad is None else each.grad

    patch.setattr(torch.autograd, "backward", backward)
    parts = ((job.state.model, "forward", "model"), (job.state.optimizer, "step", "optimizer"))
    for place, name, part in (*parts, (job.state.scaler, "unscale_", "optimizer")):
        patch.setattr(place, name, gpu.as_part(part, getattr(place, name)))
    for name in ("transform", "mix"):
        if getattr(job.batches, name) is not None:
            patch.setattr(job.batches, name, gpu.as_part("augmentation", getattr(job.batches, name)))
    steps = loop.train_epoch(job.state, job.batches, job.recipe, Interrupt())
    for _ in range(count):
        gpu.forget()
        next(steps)
    assert all(each.device == gpu.device for each in job.state.model.parameters())
