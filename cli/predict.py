"""`glimpse predict`: what a trained agent or network says of image files."""

from jsonargparse import ArgumentParser, Namespace

from glimpse.run_folder import RunFolder

from .train import trainer_of


def add_options(parser: ArgumentParser) -> None:
    """Add what `glimpse predict` takes."""
    parser.add_argument("folder", metavar="RUN", type=str, help="folder that training printed")
    parser.add_argument(
        "images",
        metavar="IMAGE",
        nargs="+",
        type=str,
        help="image files; base, dasnet and soft see them at the size they were trained on",
    )
    parser.add_argument("--device", type=str, default="auto", help="auto, cpu or cuda")
    parser.add_argument("--seed", type=int, default=0, help="of the first locations")
    parser.add_argument("--out", type=str, help="draw fixations or answers into this PNG file")


def run(options: Namespace) -> int:
    """Predict; return the exit code."""
    return trainer_of(RunFolder.open(options.folder)).uses.predict(options)
