"""What can be done with the run of a base, a network that sees images whole: evaluate, predict."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from jaxtyping import Float
from jsonargparse import Namespace
from rich.console import Console
from torch import Tensor

from glimpse.assignment import row_seeds
from glimpse.bases import Base, load_base
from glimpse.batches import as_floats
from glimpse.checks import check_name, check_shape
from glimpse.classifier import error_of
from glimpse.device import find_device
from glimpse.envs import FeedbackConfig, feedback_on
from glimpse.evaluation import ErrorRate
from glimpse.feedback import FeedbackBatch
from glimpse.folder import load_image
from glimpse.image_set import SPLITS
from glimpse.maxout import MaxoutNetwork

from .options import EVALUATION_ROWS, ImageOptions, given


def evaluate(options: Namespace) -> int:
    """Print its error."""
    base = load_base(options.folder)
    core = shown_to(base, options, {})
    network = base.network.to(core.device)
    with Console(stderr=True).status("evaluating"):
        error = error_of(network, core.images, options.split, seed=options.seed)
    print_error(error, options.split)
    return 0


def watch(options: Namespace) -> int:
    """Refuse: it sees every image once, and whole.

    Raises:
        ValueError: Always.
    """
    raise ValueError(
        f"what is watched must look more than once, got {options.folder}, a base: let it look "
        f"again with `glimpse train dasnet --base {options.folder}`, and watch that run"
    )


def predict(options: Namespace) -> int:
    """Say what image files show."""
    if options.out is not None:
        raise ValueError(
            f"`--out` must be left out for a base, got {options.out}: it looks once, so there is "
            "nothing to draw"
        )
    base, device = load_base(options.folder), find_device(options.device)
    network = base.network.to(device)
    for path in options.images:
        with torch.no_grad():
            logits = network(image_for(base, path).to(device)[None])[0]
        print(f"{path}: {said(names_of(base), logits.softmax(dim=0))}")
    return 0


def shown_to(base: Base, options: Namespace, stored: Mapping[str, Any]) -> FeedbackBatch:
    """Return a base with gains, and the images that a command's options name.

    Args:
        base: It says which images it was trained on.
        options: Of the command.
        stored: Options of the run that say otherwise.

    Raises:
        ValueError: The split is empty or unknown, the seed out of range; nobody said which images.
    """
    check_name("split", options.split, SPLITS)
    device = find_device(options.device)
    shown = given({**stored, **given(vars(options), ImageOptions)}, ImageOptions)
    if "image_size" in shown:  # in YAML a list
        shown["image_size"] = tuple(shown["image_size"])
    config = FeedbackConfig(**shown, split=options.split, device=str(device))
    core = feedback_on(base, config, EVALUATION_ROWS)
    row_seeds(options.seed, core.images.count, device)  # none may be out of range
    return core


def image_for(base: Base, path: str) -> Float[Tensor, "C H W"]:
    """Return the image of a file, as large as the base's.

    Raises:
        ValueError: The file cannot be read, or the base sees neither grey nor colour images, or is
            no maxout network, which alone says how large its images are.
    """
    if not isinstance(base.network, MaxoutNetwork):
        raise ValueError(
            "the base must be a maxout network for `glimpse predict`, got "
            f"{type(base.network).__name__}: give images to load_dasnet(run, network=...).predict"
        )
    channels, height, width = base.network.shape
    image = load_image(path, channels=channels, size=(height, width))
    check_shape("image", image, f"{channels} H W", mend="the base takes no picture files")
    return as_floats(image)


def names_of(base: Base) -> tuple[str, ...]:
    """Return the names of a maxout network's classes: their numbers where nobody named them."""
    if base.classes or not isinstance(base.network, MaxoutNetwork):
        return base.classes
    return tuple(map(str, range(base.network.classifier.out_features)))


def said(names: Sequence[str], probabilities: Float[Tensor, "n"]) -> str:
    """Return the likeliest class and how likely it is."""
    best = int(probabilities.argmax())
    return f"{names[best]} ({100 * float(probabilities[best]):.1f} %)"


def print_error(error: ErrorRate, split: str) -> None:
    """Print the error of a base."""
    print(f"{split} error of the base: {error} of {error.count:,} images")
