"""Reads and writes .safetensors files: a JSON table of the tensors' names, types, shapes and places, then bare values.

The format is public and small (huggingface.co/docs/safetensors): eight bytes say how long the table is, little-endian,
and the places count from its end. Nothing in such a file can run.
"""

import json
import math
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

SUFFIX = ".safetensors"
DTYPES = {
    "F64": torch.float64,
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "F8_E4M3": torch.float8_e4m3fn,
    "F8_E5M2": torch.float8_e5m2,
    "C64": torch.complex64,
    "I64": torch.int64,
    "I32": torch.int32,
    "I16": torch.int16,
    "I8": torch.int8,
    "U64": torch.uint64,
    "U32": torch.uint32,
    "U16": torch.uint16,
    "U8": torch.uint8,
    "BOOL": torch.bool,
}


def read(path: Path) -> dict[str, Tensor]:
    """The tensors by name, on the CPU. Raises ValueError, with the reason, if the file is not whole."""
    data = bytearray(path.read_bytes())
    length = int.from_bytes(data[:8], "little")
    if len(data) < 8 or length > len(data) - 8:
        raise ValueError("it is cut short, or no safetensors file")
    table = json.loads(data[8 : 8 + length])
    if not isinstance(table, dict):
        raise ValueError("its table is no mapping")
    values = data[8 + length :]
    return {name: _tensor(name, entry, values) for name, entry in table.items() if name != "__metadata__"}


def packed(tensors: Mapping[str, Tensor]) -> bytes:
    """The content of a file that holds the tensors."""
    kinds = {dtype: kind for kind, dtype in DTYPES.items()}
    table: dict[str, object] = {"__metadata__": {"format": "pt"}}  # which other readers ask for
    values = bytearray()
    for name, tensor in tensors.items():
        start = len(values)
        values += tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()
        places = [start, len(values)]
        table[name] = {"dtype": kinds[tensor.dtype], "shape": list(tensor.shape), "data_offsets": places}
    header = json.dumps(table).encode()
    header += b" " * (-len(header) % 8)  # so that the values begin where a mapped file may be read in place
    return len(header).to_bytes(8, "little") + header + values


def _tensor(name: str, entry: dict[str, object], values: bytearray) -> Tensor:
    match entry:
        case {"dtype": str(kind), "shape": [*sides], "data_offsets": [int(start), int(end)]} if kind in DTYPES:
            shape = [int(str(side)) for side in sides]
            dtype = DTYPES[kind]
            if not 0 <= start <= end <= len(values) or end - start != math.prod(shape) * dtype.itemsize:
                raise ValueError(f"the place of '{name}' does not fit its shape, or lies beyond the end")
            if start == end:
                return torch.empty(shape, dtype=dtype)
            return torch.frombuffer(values[start:end], dtype=dtype).reshape(shape)
        case _:
            raise ValueError(f"the entry of '{name}' is not understood")
