"""`glimpse watch`: pictures of where a trained agent looks and what it then believes."""

from io import BytesIO
from pathlib import Path

from jsonargparse import ArgumentParser, Namespace
from PIL import Image

from glimpse.atomic import write_atomically
from glimpse.checks import check_count
from glimpse.drawing import animation, contact_sheet

from .evaluate import add_run_options, open_run

_MILLISECONDS = 700  # a frame


def add_options(parser: ArgumentParser) -> None:
    """Add what `glimpse watch` takes."""
    add_run_options(parser)
    parser.add_argument("--count", type=int, default=8, help="how many images")
    parser.add_argument("--out", type=str, help="folder for the pictures; by default the run's")


def run(options: Namespace) -> int:
    """Draw; return the exit code."""
    check_count(1, count=options.count)
    agent, core = open_run(options)
    looks = agent.looks(core, options.split, options.count, seed=options.seed)
    out = Path(options.out or options.folder)
    out.mkdir(parents=True, exist_ok=True)
    frames = animation(looks)
    save_animation(frames, out / "fixations.gif")
    still = BytesIO()
    contact_sheet(looks).save(still, "PNG")
    write_atomically(out / "fixations.png", still.getvalue())
    print(f"animated: {out / 'fixations.gif'}\nstill: {out / 'fixations.png'}")
    return 0


def save_animation(frames: list[Image.Image], path: Path) -> None:
    """Write frames as an endless GIF that rests on the last."""
    content = BytesIO()
    durations = [_MILLISECONDS] * (len(frames) - 1) + [3 * _MILLISECONDS]
    frames[0].save(
        content, "GIF", save_all=True, append_images=frames[1:], duration=durations, loop=0
    )
    write_atomically(path, content.getvalue())
