"""python -m benchmarks.expected: what several GPUs may be worth, worked out from assumptions; nothing here is measured.

The model of docs/scale.md, which holds its table: a step is compute, the part of the gradients' all-reduce that the
backward pass does not hide, and the two small exchanges of the step. The pictures come as fast as they are fed, or not.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import ceil, log2
from pathlib import Path

from benchmarks.tables import table

PAGE = Path(__file__).parents[1] / "docs" / "scale.md"
HEADS = ("GPUs", "images/s of compute", "all-reduce, ms", "of it not hidden, ms", "step, ms", "images/s", "efficiency")
_SLOT = re.compile(r"(<!-- table: expected -->\n).*?(<!-- end -->)", re.DOTALL)


@dataclass(frozen=True)
class Cluster:
    """What is assumed. Rates are per second."""

    images_per_gpu: float = 2_500.0
    """Forward and backward passes of a ResNet-50 at 224 px in bf16, on a data-centre GPU."""
    batch_per_gpu: int = 256
    gradient_bytes: float = 25.6e6 * 4
    """Of a ResNet-50, in float32."""
    gpus_per_node: int = 8
    bytes_in_node: float = 200e9
    """Between the GPUs of a node, each way."""
    bytes_between_nodes: float = 25e9
    """Of one node: a network of 200 Gbit/s."""
    latency: float = 30e-6
    """Of one message, its launch included."""
    hidden: float = 0.6
    """Share of the compute beside which gradients can travel: most of the backward pass, which is two thirds of it."""
    small_exchanges: int = 2
    fed_to_node: float = 40_000.0
    """Pictures that a node gathers from its store, as uint8, and carries to its GPUs."""


@dataclass(frozen=True)
class Expected:
    """What comes out for so many GPUs. Times in seconds."""

    gpus: int
    compute: float
    all_reduce: float
    exposed: float
    step: float
    images_per_second: float
    efficiency: float
    """Of so many times one GPU."""


def all_reduce(cluster: Cluster, gpus: int) -> float:
    """A ring within each node, and one between nodes: 2 (n - 1) / n of the bytes on each link, in 2 (n - 1) parts."""
    local, nodes = min(gpus, cluster.gpus_per_node), ceil(gpus / cluster.gpus_per_node)
    rings = ((local, cluster.bytes_in_node), (nodes, cluster.bytes_between_nodes))
    return sum(2 * (n - 1) * (cluster.gradient_bytes / n / rate + cluster.latency) for n, rate in rings)


def expected(cluster: Cluster, gpus: int) -> Expected:
    """The step of so many GPUs, each with the same batch."""
    compute = cluster.batch_per_gpu / cluster.images_per_gpu
    travels = all_reduce(cluster, gpus)
    exposed = max(0.0, travels - cluster.hidden * compute)
    exchanges = cluster.small_exchanges * 2 * ceil(log2(gpus)) * cluster.latency if gpus > 1 else 0.0
    fed = min(gpus, cluster.gpus_per_node) * cluster.batch_per_gpu / cluster.fed_to_node
    step = max(compute + exposed + exchanges, fed)
    rate = gpus * cluster.batch_per_gpu / step
    return Expected(gpus, compute, travels, exposed, step, rate, rate / (gpus * cluster.images_per_gpu))


def rows(cluster: Cluster, gpus: Sequence[int] = (1, 8, 64, 256)) -> list[list[str]]:
    """As the page shows them."""
    found = [expected(cluster, count) for count in gpus]
    return [
        [
            f"{each.gpus}",
            f"{each.gpus * cluster.images_per_gpu:,.0f}",
            *(f"{1000 * seconds:.1f}" for seconds in (each.all_reduce, each.exposed, each.step)),
            f"{each.images_per_second:,.0f}",
            f"{each.efficiency:.0%}",
        ]
        for each in found
    ]


def shown() -> str:
    """The tables of the page: as assumed, with a tenth of the network, and with pictures decoded as they come."""
    usual = Cluster()
    cases = {
        "As assumed": usual,
        "A network of 20 Gbit/s": replace(usual, bytes_between_nodes=2.5e9),
        "A network of 20 Gbit/s, 32 images a GPU": replace(usual, bytes_between_nodes=2.5e9, batch_per_gpu=32),
        "Pictures decoded as they come: 64 cores a node, 150 a core": replace(usual, fed_to_node=64 * 150.0),
    }
    return "\n\n".join(f"**{name}**\n\n{table(HEADS, rows(case))}" for name, case in cases.items())


def fill(page: str) -> str:
    """The page with these tables."""
    return _SLOT.sub(lambda slot: f"{slot[1]}{shown()}\n{slot[2]}", page)


if __name__ == "__main__":
    PAGE.write_text(fill(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
