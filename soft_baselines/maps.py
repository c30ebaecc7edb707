"""The one check that every module makes of what it is given."""

from torch import Tensor

from glimpse.checks import check_shape


def check_maps(maps: Tensor, channels: int) -> None:
    """Refuse anything but feature maps of so many channels.

    Raises:
        ValueError: The rank or the number of channels is another.
    """
    check_shape("maps", maps, f"B {channels} H W", mend="give the channels that it was made for")
