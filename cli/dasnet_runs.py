"""What can be done with a run of dasNet: evaluate, watch, predict."""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from jaxtyping import Float
from jsonargparse import Namespace
from PIL import Image
from rich.console import Console
from torch import Tensor

from glimpse.agents import Dasnet, load_dasnet
from glimpse.answer_sheet import Group, answer_sheet
from glimpse.bases import Base, find_network, load_base
from glimpse.batches import swept
from glimpse.device import find_device
from glimpse.feedback import FeedbackBatch
from glimpse.gain_map import Gains
from glimpse.gain_sheet import gain_sheet
from glimpse.image_set import ImageSource
from glimpse.run_folder import RunFolder

from .base_runs import image_for, names_of, said, shown_to
from .changes import Changes, answers_to
from .dasnet_report import evaluate_passes, print_passes
from .report import write_picture

_ROWS = 500


class _Run(NamedTuple):
    """A policy and what it looks at."""

    net: Dasnet
    core: FeedbackBatch


def evaluate(options: Namespace) -> int:
    """Print the errors after each pass."""
    net, core = _opened(options)
    with Console(stderr=True).status("evaluating"):
        passes = evaluate_passes(net, core.images, options.split, seed=options.seed)
    print_passes(passes, options.split)
    return 0


def watch(options: Namespace) -> int:
    """Draw the gains, and images that change their class."""
    net, core = _opened(options)
    changes = Changes(core.task.classes, options.count)

    def given() -> Iterator[Float[Tensor, "B T A"]]:
        for batch in swept(core.images, options.split, _ROWS, seed=options.seed):
            probabilities, gains = net.predict(batch.images)
            changes.add(batch, probabilities)
            yield gains

    with Console(stderr=True).status("looking"):
        gains = Gains.of(given())
    out = Path(options.out or options.folder)
    out.mkdir(parents=True, exist_ok=True)
    write_picture(_page(net, gains, options.split), out / "gains.png")
    write_picture(changes.page(options.split), out / "changes.png")
    print(f"gains: {out / 'gains.png'}\nchanged answers: {out / 'changes.png'}")
    print(f"wrong to right {changes.mended.count}, right to wrong {changes.spoilt.count}", end=" ")
    print(f"of {changes.seen:,} images")
    return 0


def predict(options: Namespace) -> int:
    """Say what image files show."""
    device = find_device(options.device)
    base = _base_of(RunFolder.open(options.folder))
    images = [image_for(base, path).to(device) for path in options.images]
    net = load_dasnet(options.folder, network=base.gated(images[0][None]), device=device)
    names, shown = names_of(base), []
    for path, image in zip(options.images, images, strict=True):
        probabilities = net.predict(image[None]).probabilities[0]
        print(f"{path}: {said(names, probabilities[-1])}")
        for number, row in enumerate(probabilities):
            print(f"  pass {number}: {said(names, row)}")
        shown.append(answers_to(image, probabilities, names))
    if options.out is not None:
        write_picture(answer_sheet([Group("answers after each pass", shown)]), Path(options.out))
        print(f"drawn: {options.out}")
    return 0


def draw_policy(net: Dasnet, images: ImageSource, split: str) -> Image.Image:
    """Draw the gains that the images of a split are given."""
    gains = Gains.of(net.predict(batch.images).gains for batch in swept(images, split, _ROWS))
    return _page(net, gains, split)


def _page(net: Dasnet, gains: Gains, split: str) -> Image.Image:
    which = f"passes 1 to {net.config.passes}" if net.config.passes > 1 else "pass 1"
    title = f"gains of all maps in {which}, on {gains.count:,} {split} images"
    return gain_sheet(gains, net.network.layers, title)


def _opened(options: Namespace) -> _Run:
    """Return a run's policy and what it looks at."""
    folder = RunFolder.open(options.folder)
    core = shown_to(_base_of(folder), options, folder.read_config())
    net = load_dasnet(folder.path, network=core.network, device=core.device)
    return _Run(net, core)


def _base_of(folder: RunFolder) -> Base:
    """Return the network that a run was trained with: its own copy, or the registered one."""
    own, named = folder.path / "base", folder.read_config().get("base")
    return load_base(own) if own.is_dir() or named is None else find_network(named)
