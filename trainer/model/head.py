"""A deeper head for a net that ends in one linear layer."""

from torch import nn

from trainer.errors import ConfigError


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
