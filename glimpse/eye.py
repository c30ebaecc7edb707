"""How an image is looked at: through what, how often, from where on and how far."""

from dataclasses import dataclass
from typing import Literal

from .checks import check_at_least, check_count, check_name
from .sensor import GlimpseSensor


@dataclass(frozen=True, kw_only=True)
class Eye:
    """How an image is looked at.

    Attributes:
        sensor: What one look sees.
        glimpses: How many looks T the sensor takes.
        first: Where the first glimpse lies: at random, in the centre, or where the agent says.
        reach: How many pixels an action of 1 goes from the image's centre; None: to its edge.
        context: Height and width c of the area-averaged whole image that is seen beside every
            glimpse, in pixels; None: it is not seen.
    """

    sensor: GlimpseSensor
    glimpses: int = 6
    first: Literal["random", "centre", "agent"] = "random"
    reach: float | None = None
    context: int | None = None

    def __post_init__(self) -> None:
        """Refuse an eye that cannot look."""
        check_count(1, glimpses=self.glimpses)
        check_name("first", self.first, ("random", "centre", "agent"))
        if self.reach is not None:
            check_at_least(0, reach=self.reach)
        if self.context is not None:
            check_count(1, context=self.context)

    @property
    def actions(self) -> int:
        """How many of the looks an agent chooses."""
        return self.glimpses if self.first == "agent" else self.glimpses - 1
