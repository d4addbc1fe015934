"""The table of a network's layers: what each holds, gives and costs."""

from collections.abc import Sequence

from rich.table import Table

from trainer.model.costs import Layer
from trainer.report.tables import print_table


def print_layers(layers: Sequence[Layer], title: str, batch_size: int) -> None:
    """Prints the table and the totals. title: what network on what images."""
    table = Table("layer", "kind", "output", title=title)
    table.add_column("parameters", justify="right")
    table.add_column("multiply-adds", justify="right")
    for layer in layers:
        shape = " x ".join(map(str, layer.shape)) if layer.shape else "(does not run)"
        table.add_row(layer.name, layer.kind, shape, f"{layer.parameters:,}", f"{layer.multiply_adds:,}")
    print_table(table)
    for line in totals(layers, batch_size):
        print(line)


def totals(layers: Sequence[Layer], batch_size: int) -> list[str]:
    """What the whole network comes to, in words."""
    parameters = sum(layer.parameters for layer in layers)
    multiply_adds = sum(layer.multiply_adds for layer in layers)
    return [
        f"{parameters:,} parameters: {_short(4 * parameters)}B as fp32",
        f"{multiply_adds:,} multiply-adds to classify one image, {_short(multiply_adds * batch_size)} for a batch of "
        f"{batch_size}; a training step takes about three times that",
    ]


def _short(number: int) -> str:
    """12,345,678 as '12.3 M'."""
    value, units = float(number), ["", "k", "M", "G", "T"]
    while value >= 1000 and len(units) > 1:
        value, units = value / 1000, units[1:]
    return f"{value:.3g} {units[0]}"
