"""The ONNX file of a run: preparation, network and probabilities in one graph, with what a program must know of it."""

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch

from trainer.feed.preprocessing import Preprocessing
from trainer.inference.export.preparing import Prepared
from trainer.inference.network_onnx import IMAGES, LOGITS, export_module

if TYPE_CHECKING:
    import onnx

PROBABILITIES = "probabilities"
_SEEN = "seen"
"""What the network is given, between the graphs."""
_ACTIVATIONS: dict[str, dict[str, Any]] = {"softmax": {"axis": -1}, "sigmoid": {}}
"""What makes probabilities of logits, and what ONNX must know of it."""


def prepared_graph(preprocessing: Preprocessing) -> bytes:
    """ONNX of `Prepared`: uint8 (B, H, W, 3) -> what the model sees, all but the last dynamic."""
    example = torch.zeros(2, 40, 50, 3, dtype=torch.uint8)
    return export_module(Prepared(preprocessing), example, _SEEN, ("batch", "height", "width"))


def assembled(network: bytes, preparation: bytes | None, temperature: float, activation: str) -> "onnx.ModelProto":
    """One graph from `images` to `probabilities`; preparation: None where `images` is what the model sees.

    network: gives logits, which are divided by the temperature. activation: softmax or sigmoid of that.
    """
    import onnx

    model = onnx.load_from_string(network)
    if preparation is not None:
        model = onnx.compose.add_prefix(model, "network/", rename_outputs=False)  # no two names alike
        before = onnx.load_from_string(preparation)
        model = onnx.compose.merge_models(before, model, io_map=[(_SEEN, f"network/{IMAGES}")])
    _add_activation(model, temperature, activation)
    return model


def describe(model: "onnx.ModelProto", told: Mapping[str, object]) -> None:
    """Writes what is told into the metadata of the file, each value as JSON; a class name may hold anything."""
    import onnx

    from trainer import __version__

    model.producer_name, model.producer_version = "trainer", __version__
    onnx.helper.set_model_props(model, {key: json.dumps(value, ensure_ascii=False) for key, value in told.items()})


def _add_activation(model: "onnx.ModelProto", temperature: float, activation: str) -> None:
    from onnx import TensorProto, helper, numpy_helper

    logits = model.graph.output[0]
    batch, classes = (each.dim_param or each.dim_value for each in logits.type.tensor_type.shape.dim)
    divisor = numpy_helper.from_array(torch.tensor(temperature, dtype=torch.float32).numpy(), "temperature")
    model.graph.initializer.append(divisor)
    model.graph.node.extend(
        [
            helper.make_node("Div", [LOGITS, "temperature"], ["scaled"], "calibrate"),
            helper.make_node(
                activation.capitalize(), ["scaled"], [PROBABILITIES], activation, **_ACTIVATIONS[activation]
            ),
        ]
    )
    del model.graph.output[:]
    model.graph.output.append(helper.make_tensor_value_info(PROBABILITIES, TensorProto.FLOAT, [batch, classes]))
