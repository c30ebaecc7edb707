"""`glimpse evaluate`: the errors of what was trained."""

from jsonargparse import ArgumentParser, Namespace

from glimpse.run_folder import RunFolder

from .train import trainer_of


def add_options(parser: ArgumentParser) -> None:
    """Add what `glimpse evaluate` takes."""
    add_run_options(parser)


def add_run_options(parser: ArgumentParser) -> None:
    """Add what every command takes that looks at a run and its images."""
    parser.add_argument("folder", metavar="RUN", type=str, help="folder that training printed")
    parser.add_argument(
        "--split", type=str, default="test", help="which images: train, validation or test"
    )
    parser.add_argument(
        "--data_root", type=str, help="folder with MNIST, where it is no longer the run's own"
    )
    parser.add_argument("--device", type=str, default="auto", help="auto, cpu or cuda")
    parser.add_argument(
        "--seed", type=int, default=0, help="of what is random: images, locations, random gains"
    )


def run(options: Namespace) -> int:
    """Evaluate; return the exit code."""
    return trainer_of(RunFolder.open(options.folder)).uses.evaluate(options)
