"""A network in 8 bits: a quarter of the size, and on most processors faster, for a little accuracy."""

import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from trainer.inference.network_onnx import IMAGES


class _Reader:
    """Images, a batch at a time, as ONNX Runtime asks for them while it measures ranges."""

    def __init__(self, batches: Iterable[Any]) -> None:
        self.batches: Iterator[Any] = iter(batches)

    def get_next(self) -> dict[str, Any] | None:
        batch = next(self.batches, None)
        return None if batch is None else {IMAGES: batch}


def quantised(network: bytes, batches: Iterable[Any]) -> bytes:
    """The ONNX network with weights and activations in 8 bits, float images and logits as before.

    Static: the range of each activation is what the images of the batches, as the model sees them, make of it; each
    output channel of a weight has a scale of its own. In QDQ form, which every runtime that knows int8 can read.
    """
    from onnxruntime.quantization import QuantFormat, QuantType, quantize_static  # type: ignore[import-untyped]
    from onnxruntime.quantization.shape_inference import quant_pre_process  # type: ignore[import-untyped]

    with tempfile.TemporaryDirectory() as folder:
        plain, folded, small = (Path(folder) / name for name in ("plain.onnx", "folded.onnx", "small.onnx"))
        plain.write_bytes(network)
        quant_pre_process(plain, folded, skip_symbolic_shape=True)  # batch norm folded into convolutions
        quantize_static(
            folded,
            small,
            _Reader(batches),
            quant_format=QuantFormat.QDQ,
            per_channel=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            reduce_range=False,
        )
        return small.read_bytes()
