"""`glimpse attention list`: the table of soft attention modules."""

from jsonargparse import ArgumentParser, Namespace
from rich.console import Console
from rich.table import Table

from glimpse.soft_baselines import ATTENTION


def add_options(parser: ArgumentParser) -> None:
    """Add what `glimpse attention` takes."""
    parser.add_argument("what", choices=("list",), help="what to do: print the table")


def run(options: Namespace) -> int:
    """Print the table; return the exit code."""
    table = Table(title="soft attention", title_justify="left", box=None)
    for name in ("module", "domain", "year", "paper"):
        table.add_column(name, overflow="fold")
    for name, entry in ATTENTION.items():
        table.add_row(name, entry.domain, str(entry.year), entry.paper)
    Console().print(table)
    return 0
