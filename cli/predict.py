"""`glimpse predict`: what a trained agent says of image files."""

from io import BytesIO
from pathlib import Path

from jsonargparse import ArgumentParser, Namespace

from glimpse.agents import load
from glimpse.atomic import write_atomically
from glimpse.device import find_device
from glimpse.drawing import contact_sheet
from glimpse.folder import load_image
from glimpse.tasks import Sequence


def add_options(parser: ArgumentParser) -> None:
    """Add what `glimpse predict` takes."""
    parser.add_argument("folder", metavar="RUN", type=str, help="folder that training printed")
    parser.add_argument("images", metavar="IMAGE", nargs="+", type=str, help="image files")
    parser.add_argument("--device", type=str, default="auto", help="auto, cpu or cuda")
    parser.add_argument("--seed", type=int, default=0, help="of the first locations")
    parser.add_argument("--out", type=str, help="draw the fixations into this PNG file")


def run(options: Namespace) -> int:
    """Predict; return the exit code."""
    agent = load(options.folder, device=find_device(options.device))
    looks = []
    for path in options.images:
        image = load_image(path, channels=agent.channels)
        look = agent.look(image, seed=options.seed)
        looks.append(look)
        said = [
            f"{answer} ({100 * sure:.1f} %)"
            for answer, sure in zip(look.answers, look.confidence, strict=True)
        ]
        length = agent.task.length if isinstance(agent.task, Sequence) else 1
        last = [-(-number * len(said) // length) - 1 for number in range(1, length + 1)]
        print(f"{path}: {', '.join(said[glimpse] for glimpse in last)}")
        for number, ((x, y), answer) in enumerate(
            zip(look.locations.tolist(), said, strict=True), start=1
        ):
            print(f"  glimpse {number} at ({x:+.2f}, {y:+.2f}): {answer}")
    if options.out is not None:
        content = BytesIO()
        contact_sheet(looks).save(content, "PNG")
        write_atomically(Path(options.out), content.getvalue())
        print(f"drawn: {options.out}")
    return 0
