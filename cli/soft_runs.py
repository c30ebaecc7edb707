"""What can be done with the run of a soft baseline: evaluate, watch, predict."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple

import torch
from jsonargparse import Namespace
from PIL import Image
from rich.console import Console

from glimpse.answer_sheet import Answers
from glimpse.attention_sheet import Layer, attention_sheet
from glimpse.batches import Batch, as_floats, swept
from glimpse.checks import check_name, check_shape
from glimpse.classifier import class_names, error_of
from glimpse.device import find_device
from glimpse.evaluation import ErrorRate
from glimpse.folder import load_image
from glimpse.image_set import SPLITS, ImageSource
from glimpse.run_folder import RunFolder
from glimpse.soft_baselines import Attended, SoftBaseline, load_soft, observe

from .base_runs import said
from .options import ImageOptions, RunOptions, given, make_core
from .report import write_picture


@dataclass(frozen=True, kw_only=True)
class ShownOptions(ImageOptions):
    """What the environment shows; by default what belongs to its name.

    Attributes:
        task: What is asked, where it is not what the images ask: `counting`, how many there are.
    """

    task: Literal["search", "counting", "sequence"] | None = None


class _Run(NamedTuple):
    """A trained network and the images of its environment."""

    soft: SoftBaseline
    images: ImageSource


def evaluate(options: Namespace) -> int:
    """Print its error."""
    soft, images = _opened(options)
    with Console(stderr=True).status("evaluating"):
        error = error_of(soft.network, images, options.split, seed=options.seed)
    print_error(error, options.split)
    return 0


def watch(options: Namespace) -> int:
    """Draw what it attends to."""
    soft, images = _opened(options)
    out = Path(options.out or options.folder)
    out.mkdir(parents=True, exist_ok=True)
    page = draw_attention(soft, images, options.split, options.count, seed=options.seed)
    write_picture(page, out / "attention.png")
    print(f"attention: {out / 'attention.png'}")
    return 0


def predict(options: Namespace) -> int:
    """Say what image files show."""
    soft = load_soft(options.folder, device=find_device(options.device))
    channels, height, width = soft.network.shape
    shown = []
    for path in options.images:
        image = load_image(path, channels=channels, size=(height, width))
        check_shape("image", image, f"{channels} H W", mend="it takes no picture files")
        shown.append(as_floats(image))
        print(f"{path}: {said(soft.classes, soft.predict(image[None])[0])}")
    if options.out is not None:
        page = _page(soft, Batch(torch.stack(shown).to(soft.device), torch.empty(0)), "images")
        write_picture(page, Path(options.out))
        print(f"drawn: {options.out}")
    return 0


def images_of(options: RunOptions, view: Mapping[str, Any], **learner: Any) -> ImageSource:
    """Return the images that an environment shows, on the device.

    Args:
        options: They name the environment and the device.
        view: Options that differ from the environment's own.
        learner: Options that are the learner's: `split`.

    Raises:
        ValueError: There is no such environment, or its images cannot be found.
    """
    if view.get("image_size"):  # in YAML a list
        view = {**view, "image_size": tuple(view["image_size"])}
    return make_core(options.env, view, 1, find_device(options.device), **learner).images


def check_images(soft: SoftBaseline, images: ImageSource, folder: RunFolder) -> None:
    """Refuse images that are not of the kind that the network was made for.

    Raises:
        ValueError: Size or classes differ.
    """
    wanted, got = (soft.network.shape, soft.classes), (images.shape, class_names(images))
    if wanted != got:
        raise ValueError(
            f"{folder.path / 'config.yaml'} must describe what agent.json does, {wanted}, got "
            f"{got}: restore it"
        )


def draw_attention(
    soft: SoftBaseline, images: ImageSource, split: str, count: int, *, seed: int = 0
) -> Image.Image:
    """Draw what a network attends to in the first images of a split."""
    batch = next(swept(images, split, count, seed=seed))
    return _page(soft, batch, f"{split} images")


def print_error(error: ErrorRate, split: str) -> None:
    """Print the error of a soft baseline."""
    print(f"{split} error: {error} of {error.count:,} images")


def _page(soft: SoftBaseline, batch: Batch, what: str) -> Image.Image:
    sure, best = soft.predict(batch.images).max(dim=1)
    targets = [soft.classes[number] for number in batch.target.long().tolist()]
    answers = [
        Answers(image, [soft.classes[said]], [sure], target)
        for image, said, sure, target in zip(
            batch.images.cpu(),
            best.tolist(),
            sure.tolist(),
            targets or [None] * len(batch.images),
            strict=True,
        )
    ]
    layers = [_layer(did) for did in observe(soft.network, batch.images)]
    return attention_sheet(answers, layers, f"{soft.config.attention} on {len(answers)} {what}")


def _layer(did: Attended) -> Layer:
    return Layer(
        did.place,
        did.change.cpu(),
        {name: corners.cpu() for name, corners in did.windows.items()},
        did.gave.cpu() if did.windows else None,
    )


def _opened(options: Namespace) -> _Run:
    """Return a run's network and what it looks at."""
    check_name("split", options.split, SPLITS)
    folder = RunFolder.open(options.folder)
    stored = folder.read_config()
    run_options = RunOptions(**given({**stored, "device": options.device}, RunOptions))
    soft = load_soft(folder.path, device=find_device(options.device))
    view = given({**stored, **given(vars(options), ShownOptions)}, ShownOptions)
    images = images_of(run_options, view, split=options.split)
    check_images(soft, images, folder)
    return _Run(soft, images)
