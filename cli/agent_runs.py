"""What can be done with the run of an agent that looks at glimpses: evaluate, watch, predict."""

from io import BytesIO
from pathlib import Path

from jsonargparse import Namespace
from PIL import Image
from rich.console import Console

from glimpse.agents import Agent, load
from glimpse.atomic import write_atomically
from glimpse.batch import GlimpseBatch
from glimpse.checks import check_name
from glimpse.device import find_device
from glimpse.drawing import animation, contact_sheet
from glimpse.folder import load_image
from glimpse.image_set import SPLITS
from glimpse.run_folder import RunFolder
from glimpse.tasks import Sequence

from .options import EVALUATION_ROWS, RunOptions, ViewOptions, check_fit, given, make_core
from .report import print_evaluation, write_picture

_MILLISECONDS = 700  # a frame


def evaluate(options: Namespace) -> int:
    """Print the errors after each glimpse."""
    agent, core = _opened(options)
    with Console(stderr=True).status("evaluating"):
        evaluation = agent.evaluate(core, options.split, seed=options.seed)
    print_evaluation(agent, evaluation, options.split)
    return 0


def watch(options: Namespace) -> int:
    """Draw where it looks and what it then believes."""
    agent, core = _opened(options)
    looks = agent.looks(core, options.split, options.count, seed=options.seed)
    out = Path(options.out or options.folder)
    out.mkdir(parents=True, exist_ok=True)
    _save_animation(animation(looks), out / "fixations.gif")
    write_picture(contact_sheet(looks), out / "fixations.png")
    print(f"animated: {out / 'fixations.gif'}\nstill: {out / 'fixations.png'}")
    return 0


def predict(options: Namespace) -> int:
    """Say what image files show."""
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
        write_picture(contact_sheet(looks), Path(options.out))
        print(f"drawn: {options.out}")
    return 0


def _opened(options: Namespace) -> tuple[Agent, GlimpseBatch]:
    """Return a run's agent and what it looks at."""
    check_name("split", options.split, SPLITS)
    config = RunFolder.open(options.folder).read_config()
    run_options = RunOptions(**given(config, RunOptions))
    device = find_device(options.device)
    agent = load(options.folder, device=device)
    view = given({**config, **given(vars(options), ViewOptions)}, ViewOptions)
    core = make_core(run_options.env, view, EVALUATION_ROWS, device, split=options.split)
    check_fit(agent, core, RunFolder(Path(options.folder)))
    return agent, core


def _save_animation(frames: list[Image.Image], path: Path) -> None:
    """Write frames as an endless GIF that rests on the last."""
    content = BytesIO()
    durations = [_MILLISECONDS] * (len(frames) - 1) + [3 * _MILLISECONDS]
    frames[0].save(
        content, "GIF", save_all=True, append_images=frames[1:], duration=durations, loop=0
    )
    write_atomically(path, content.getvalue())
