"""Image sets that a function draws."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np

from .checks import check_count
from .image_set import ImageSet
from .mixed_set import Indices, MixedSet, image_set_of
from .pictures import collect, to_class, to_one_mode, to_target
from .randomness import derive_seed
from .tasks import Search, Task


def draw_images(
    draw: Callable[[np.random.Generator], tuple[Any, Any]],
    count: int,
    *,
    seed: int = 0,
    task: Task | Search | None = None,
    classes: Iterable[str] | None = None,
    splits: Mapping[str, Indices] | None = None,
) -> ImageSet | MixedSet:
    """Call a function once for each image and keep what it draws.

    Image i depends on `seed` and i alone, if all that is random in it comes from the generator: a
    larger set begins with the images of a smaller one.

    Args:
        draw: From a generator of random numbers to `(image, target)`: the image a tensor or array
            `(C, H, W)` or `(H, W)`, uint8 or float in [0, 1], or a picture of Pillow; the target a
            whole number from 0, or what the task asks for. Images of different sizes make a
            `MixedSet`.
        count: How many images.
        seed: In [0, 2**64).
        task: What is asked about the images; by default a classification.
        classes: The names of its classes; by default their numbers.
        splits: Indices of `train`, `validation`, `test`; by default `random_splits`.

    Raises:
        ValueError: A number is out of range, or the function returns anything else; the image is
            named by its number.

    Example:
        >>> def square(random):
        ...     image = np.zeros((28, 28), dtype=np.uint8)
        ...     side = random.integers(2, 12)
        ...     image[5 : 5 + side, 5 : 5 + side] = 255
        ...     return image, int(side > 6)
        >>> draw_images(square, 100, classes=["small", "large"]).shape
        (1, 28, 28)
    """
    check_count(1, count=count)
    pairs = (draw(np.random.default_rng(derive_seed(seed, number))) for number in range(count))
    to_answer = to_class if task is None else to_target
    images, targets, grey = collect(pairs, count, "drawing images", to_answer=to_answer)
    to_one_mode(images, grey)
    return image_set_of(images, targets, task=task, classes=classes, splits=splits)
