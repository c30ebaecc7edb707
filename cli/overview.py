"""`glimpse list`: environments, agents and image sets."""

from jsonargparse import ArgumentParser, Namespace
from rich.console import Console
from rich.table import Table

from glimpse.catalogue import image_names
from glimpse.envs import ENVIRONMENTS, FEEDBACK

from .train import TRAINERS


def add_options(parser: ArgumentParser) -> None:
    """Add what `glimpse list` takes: nothing."""


def run(options: Namespace) -> int:
    """Print the tables; return the exit code."""
    environments = {
        name: ", ".join(f"{option}={value}" for option, value in view.items())
        or "your own: --images NAME or FOLDER"
        for name, view in ENVIRONMENTS.items()
    }
    environments |= dict.fromkeys(FEEDBACK, "gains of a frozen network: base=NAME or FOLDER of one")
    agents = {name: trainer.summary for name, trainer in TRAINERS.items()}
    console = Console()
    for title, rows in (
        ("environments", environments),
        ("agents", agents),
        ("image sets", image_names()),
    ):
        table = Table(title=title, title_justify="left", show_header=False, box=None)
        for name, what in rows.items():
            table.add_row(name, what)
        console.print(table)
    return 0
