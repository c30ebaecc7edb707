"""What several modules refuse alike: reductions, groups and batches that leave nothing over."""

from math import gcd

from torch import Tensor

from glimpse.checks import check_count


def reduced(channels: int, reduction: int) -> int:
    """Return how many units a bottleneck has: channels / reduction, rounded down.

    Raises:
        ValueError: Fewer than one unit would be left.
    """
    check_count(1, channels=channels, reduction=reduction)
    if reduction > channels:
        raise ValueError(
            f"`reduction` must be in [1, {channels}], got {reduction}: of {channels} channels "
            "at least one unit must be left"
        )
    return channels // reduction


def check_groups(channels: int, groups: int) -> None:
    """Refuse groups that channels cannot be divided into.

    Raises:
        ValueError: They do not divide the channels.
    """
    check_count(1, channels=channels, groups=groups)
    if channels % groups:
        raise ValueError(
            f"`groups` must divide the {channels} channels, got {groups}: "
            f"choose {gcd(channels, groups)}, for example"
        )


def check_training_batch(maps: Tensor) -> None:
    """Refuse a single image where one value per image and channel is normalised over the batch.

    Raises:
        ValueError: There are fewer than two images.
    """
    if len(maps) < 2:
        raise ValueError(
            f"`maps` must be at least 2 images in training, got {len(maps)}: batch normalisation "
            "of one value is not defined; give more images or call .eval()"
        )
