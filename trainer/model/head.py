"""The last layer of a net, which gives the logits: how it starts for new classes, and what may stand before it."""

from collections.abc import Iterable

from torch import nn

from trainer.errors import ConfigError
from trainer.schema import HeadInit

Layer = nn.Linear | nn.Conv2d


def heads(net: nn.Module) -> dict[str, Layer]:
    """The layers that give the logits, by name: one, or the two of a distilled network, which takes their mean."""
    names = {module: name for name, module in net.named_modules()}
    tell = next((module.get_classifier for module in names if hasattr(module, "get_classifier")), None)  # timm's
    told = net if tell is None else tell()
    layers = (_last_layer(part) for part in (told if isinstance(told, tuple) else (told,)))
    return {names[layer]: layer for layer in layers if layer is not None}


def start(net: nn.Module, layers: Iterable[Layer], head_init: HeadInit) -> str:
    """Starts these heads of the net for new classes, in place; in words, how.

    At zero every class is equally likely whatever the image: the first loss is ln(classes), and the first steps send
    no noise into the body, whose gradient is the head's weights times an error.
    """
    if head_init != "default" and not _ends_in_relu(net):
        for layer in layers:
            for parameter in layer.parameters():
                nn.init.zeros_(parameter)
        return "it starts at zero"
    for layer in layers:
        layer.reset_parameters()
    return "it starts at random" + ("" if head_init == "default" else ": behind a ReLU zeros would never learn")


def _last_layer(module: nn.Module) -> Layer | None:
    layers = [layer for layer in module.modules() if isinstance(layer, Layer)]
    return layers[-1] if layers else None


def _ends_in_relu(net: nn.Module) -> bool:
    """Whether the logits go through a ReLU, as a squeezenet's do: it passes no gradient to values of zero."""
    last = _last_layer(net)
    modules = list(net.modules())
    return last is not None and any(isinstance(each, nn.ReLU) for each in modules[modules.index(last) :])


def deepen(net: nn.Module, part: str, hidden: int | None, dropout: float) -> None:
    """Puts before the net's last linear layer a dense one of hidden units with ReLU, dropout, or both; in place.

    The dense layer starts with He's normal distribution. Call it before weights are loaded: those of the one layer are
    then left out. Raises ConfigError if the net ends in something else.
    """
    linear = [(name, layer) for name, layer in net.named_modules() if isinstance(layer, nn.Linear)]
    name, last = linear[-1] if linear else ("", None)
    if last is None or list(net.modules())[-1] is not last:
        options = "hidden and dropout" if hidden and dropout else "hidden" if hidden else "dropout"
        raise ConfigError(
            f"model '{part}': this network ends in no linear layer, so {options} cannot act: leave it out."
        )
    layers: list[nn.Module] = []
    if hidden is not None:
        dense = nn.Linear(last.in_features, hidden)
        nn.init.kaiming_normal_(dense.weight, nonlinearity="relu")
        nn.init.zeros_(dense.bias)
        layers += [dense, nn.ReLU()]
    if dropout:
        layers.append(nn.Dropout(dropout))
    parent, _, leaf = name.rpartition(".")
    out = nn.Linear(last.in_features if hidden is None else hidden, last.out_features)
    setattr(net.get_submodule(parent), leaf, nn.Sequential(*layers, out))
