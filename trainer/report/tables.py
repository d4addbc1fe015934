"""Tables on the screen."""

from rich.console import Console
from rich.table import Table

_WIDE = 240
"""Characters: a log file has no width of its own, and wants no word cut short."""


def print_table(table: Table) -> None:
    """Prints the table: in a terminal within its width, elsewhere as wide as it needs."""
    console = Console()
    if not console.is_terminal:
        console = Console(width=_WIDE)
    console.print(table)
