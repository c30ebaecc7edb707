"""The options of every environment, and the engine they describe."""

from dataclasses import dataclass, fields
from typing import Any, Literal

from glimpse.batch import GlimpseBatch
from glimpse.catalogue import find_images
from glimpse.checks import check_at_least
from glimpse.device import find_device
from glimpse.eye import Eye
from glimpse.sensor import GlimpseSensor


@dataclass(frozen=True, kw_only=True)
class EnvConfig:
    """The options of an environment: what `gymnasium.make` takes beside the id.

    Attributes:
        images: A name (`glimpse list` shows them), or the path of a folder of class folders or of a
            slide with a GeoJSON file beside it.
        canvas: One of `glimpse.canvas.CANVASES` on which each image is laid, or None.
        image_size: Height and width to which a folder's images are resized, in pixels; None: they
            are all of one size.
        data_root: The folder with MNIST; None: that of the environment variable GLIMPSE_DATA.
        size: Height and width of a glimpse, in pixels.
        scales: How many windows a glimpse has, each `factor` times as wide as the one before.
        factor: How much wider each window is than the one before.
        outside: What a glimpse sees beyond the image: black, its nearest pixel, or its mean.
        glimpses: How many glimpses an episode has.
        first: Where the first glimpse lies: at random, in the centre, or where the agent says.
        reach: How far an action of 1 goes from the image's centre, in pixels; None: to its edge.
        context: Height and width of the whole image that is seen beside the glimpses, averaged, in
            pixels; None: it is not seen.
        copies: How many consecutive environments of a batch share an image.
        split: From which part of the images episodes are drawn.
        predict: Who judges answers: `external`, the learner; `flat`, the environment, to which
            every action brings one.
        reward: What `flat` pays: 1 for being right at the end, or the gain in log-probability.
        memory: How many GiB the tables of a set may take; a larger set is read pixel by pixel,
            more slowly, with the same result.
        device: Where images and tables lie: cpu or cuda.
    """

    images: str = "digits"
    canvas: str | None = None
    image_size: tuple[int, int] | None = None
    data_root: str | None = None
    size: int = 8
    scales: int = 1
    factor: int = 2
    outside: Literal["zero", "edge", "mean"] = "zero"
    glimpses: int = 6
    first: Literal["random", "centre", "agent"] = "random"
    reach: float | None = None
    context: int | None = None
    copies: int = 1
    split: Literal["train", "validation", "test"] = "train"
    predict: Literal["external", "flat"] = "external"
    reward: Literal["correct", "gain"] = "correct"
    memory: float = 8.0
    device: str = "cpu"

    @classmethod
    def of(cls, options: dict[str, Any]) -> "EnvConfig":
        """Return the config of these options.

        Raises:
            ValueError: There is no such option.
        """
        known = [field.name for field in fields(cls)]
        unknown = [name for name in options if name not in known]
        if unknown:
            raise ValueError(
                f"options of an environment must be among {', '.join(known)}, got "
                f"{', '.join(unknown)}: check the spelling"
            )
        return cls(**options)


def build_core(config: EnvConfig, rows: int) -> GlimpseBatch:
    """Return the engine for this many rows.

    Raises:
        ValueError: An option does not fit; images are unknown or cannot be read.
    """
    check_at_least(0, memory=config.memory)
    images = find_images(
        config.images,
        data_root=config.data_root,
        image_size=config.image_size,
        canvas=config.canvas,
    )
    sensor = GlimpseSensor(config.size, config.scales, config.factor, config.outside)
    eye = Eye(
        sensor=sensor,
        glimpses=config.glimpses,
        first=config.first,
        reach=config.reach,
        context=config.context,
    )
    return GlimpseBatch(
        images.to(find_device(config.device)),
        eye,
        rows,
        copies=config.copies,
        split=config.split,
        predict=config.predict,
        reward=config.reward,
        memory=config.memory * 2**30,
    )
