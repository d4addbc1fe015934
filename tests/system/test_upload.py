"""What goes to the device together arrives as it was."""

import pytest
import torch
from torch import Tensor

from trainer.system.upload import upload, upload_all

CPU = torch.device("cpu")
TENSORS = [
    torch.tensor([True, False, True]),
    torch.arange(5, dtype=torch.int64),
    torch.empty(0, 3),
    torch.arange(12, dtype=torch.float64).view(3, 4).t(),
    torch.tensor(7, dtype=torch.int16),
    torch.full((2, 1, 3), 0.1),
]


def test_tensors_in_one_copy_arrive_each_in_its_type_and_shape(monkeypatch: pytest.MonkeyPatch) -> None:
    copies, empty = [], torch.empty
    monkeypatch.setattr(torch, "empty", lambda *args, pin_memory, **options: empty(*args, **options))
    monkeypatch.setattr(Tensor, "to", lambda self, device, non_blocking: copies.append(self) or self.clone())
    for arrived, sent in zip(upload_all(TENSORS, torch.device("cuda")), TENSORS, strict=True):
        assert arrived.dtype == sent.dtype and torch.equal(arrived, sent)
    assert len(copies) == 1


def test_on_a_cpu_nothing_is_copied() -> None:
    assert all(here is there for here, there in zip(upload_all(TENSORS, CPU), TENSORS, strict=True))
    assert upload(TENSORS[0], CPU) is TENSORS[0]
