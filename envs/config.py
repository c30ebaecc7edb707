"""The options of every environment, and the engine they describe."""

from dataclasses import dataclass, fields
from typing import Any, Literal

from glimpse.batch import GlimpseBatch
from glimpse.catalogue import find_images
from glimpse.checks import check_at_least, check_options
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
        task: What is asked, where it is not what the images ask: `search`, where on its canvas an
            image is; `counting`, how many there are; `sequence`, which they are from left to right.
        image_size: Height and width to which a folder's images are resized, in pixels; None: they
            stay as large as they are.
        data_root: The folder with MNIST; None: that of the environment variable GLIMPSE_DATA.
        size: Height and width of a glimpse, in pixels.
        scales: How many windows a glimpse has, each `factor` times as wide as the one before.
        factor: How much wider each window is than the one before.
        outside: What a glimpse sees beyond the image: black, its nearest pixel, or its mean.
        glimpses: How many glimpses an episode has.
        first: Where the first glimpse lies: at random, in the centre, or where the agent says.
        reach: How far an action of 1 goes from the image's centre, in pixels; None: to its edge.
        stride: How far an action of 1 moves from where the eye is, in pixels; None: actions are
            locations.
        zoom: How many levels of zoom an action chooses from, each `factor` times as wide as the one
            before; 1: there is nothing to choose.
        stop: Whether an action may end the episode, by a last number above 0.
        grid: How many places lie beside one another, and below, of which an action names one by
            its number; None: actions are numbers along axes.
        cost: What every chosen look costs, taken off its reward.
        context: Height and width of the whole image that is seen beside the glimpses, averaged, in
            pixels; None: it is not seen.
        copies: How many consecutive environments of a batch share an image.
        split: From which part of the images episodes are drawn.
        predict: Who judges answers: `external`, the learner; `flat` or `dict`, the environment, to
            which every action brings one, as more numbers or beside it in a dict.
        reward: What these pay: 1 for being right at the end, the gain in log-probability, or minus
            the loss of every answer.
        memory: How many GiB the tables of a set may take; a larger set is read pixel by pixel,
            more slowly, with the same result.
        device: Where images and tables lie: cpu or cuda.
    """

    images: str = "digits"
    canvas: str | None = None
    task: Literal["search", "counting", "sequence"] | None = None
    image_size: tuple[int, int] | None = None
    data_root: str | None = None
    size: int = 8
    scales: int = 1
    factor: int = 2
    outside: Literal["zero", "edge", "mean"] = "zero"
    glimpses: int = 6
    first: Literal["random", "centre", "agent"] = "random"
    reach: float | None = None
    stride: float | None = None
    zoom: int = 1
    stop: bool = False
    grid: int | None = None
    cost: float = 0.0
    context: int | None = None
    copies: int = 1
    split: Literal["train", "validation", "test"] = "train"
    predict: Literal["external", "flat", "dict"] = "external"
    reward: Literal["correct", "gain", "loss"] = "correct"
    memory: float = 8.0
    device: str = "cpu"

    @classmethod
    def of(cls, options: dict[str, Any]) -> "EnvConfig":
        """Return the config of these options.

        Raises:
            ValueError: There is no such option.
        """
        check_options("an environment", options, [field.name for field in fields(cls)])
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
        task=config.task,
    )
    sensor = GlimpseSensor(config.size, config.scales, config.factor, config.outside)
    eye = Eye(
        sensor=sensor,
        glimpses=config.glimpses,
        first=config.first,
        reach=config.reach,
        stride=config.stride,
        zoom=config.zoom,
        stop=config.stop,
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
        cost=config.cost,
        memory=config.memory * 2**30,
    )
