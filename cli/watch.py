"""`glimpse watch`: pictures of where something looks, what it heeds and what it believes."""

from jsonargparse import ArgumentParser, Namespace

from glimpse.checks import check_count
from glimpse.run_folder import RunFolder

from .evaluate import add_run_options
from .train import trainer_of


def add_options(parser: ArgumentParser) -> None:
    """Add what `glimpse watch` takes."""
    add_run_options(parser)
    parser.add_argument("--count", type=int, default=8, help="how many images, at most")
    parser.add_argument("--out", type=str, help="folder for the pictures; by default the run's")


def run(options: Namespace) -> int:
    """Draw; return the exit code."""
    check_count(1, count=options.count)
    return trainer_of(RunFolder.open(options.folder)).uses.watch(options)
