"""What the commands have in common: options, devices, and environments built from them."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, make_dataclass
from typing import Any

import gymnasium
import torch

from glimpse.agents import Agent
from glimpse.batch import GlimpseBatch
from glimpse.checks import check_count
from glimpse.envs import ENVIRONMENTS, EnvConfig
from glimpse.run_folder import RunFolder
from glimpse.tasks import answered

# Images looked at at once when a run is evaluated; the errors of a run are those of this number.
EVALUATION_ROWS = 512

# What a user may change about an environment. The rest is the learner's: copies, split, who judges.
_OF_THE_LEARNER = {"copies", "split", "predict", "reward", "grid", "device"}
ViewOptions = make_dataclass(
    "ViewOptions",
    [
        (field.name, field.type | None, None)  # type: ignore[operator]
        for field in fields(EnvConfig)
        if field.name not in _OF_THE_LEARNER
    ],
    namespace={
        "__doc__": (EnvConfig.__doc__ or "").replace(
            "The options of an environment: what `gymnasium.make` takes beside the id.",
            "What the environment shows and how; by default what belongs to its name.",
        )
    },
    kw_only=True,
)


@dataclass(frozen=True, kw_only=True)
class FolderOptions:
    """The run.

    Attributes:
        run: Folder for the results, which must be new; by default one named after what is trained,
            on what, and the time, in the folder runs.
        device: auto, cpu or cuda; auto is cuda where there is one.
        threads: CPU threads to compute with; two are hardly faster than one for networks of this
            size, and far slower where other programs run.
        log_every: Steps that each row of metrics.csv covers.
    """

    run: str | None = None
    device: str = "auto"
    threads: int = 1
    log_every: int = 50

    def __post_init__(self) -> None:
        """Refuse what cannot be meant."""
        check_count(1, threads=self.threads, log_every=self.log_every)
        check_word(device=self.device)


@dataclass(frozen=True, kw_only=True)
class RunOptions(FolderOptions):
    """The run.

    Attributes:
        env: Id of the environment (`glimpse list` shows them), or MODULE:ID to import it first.
        run: Folder for the results, which must be new; by default one named after agent,
            environment and time in the folder runs.
        device: auto, cpu or cuda; auto is cuda where there is one.
        threads: CPU threads to compute with; two are hardly faster than one for networks of this
            size, and far slower where other programs run.
        log_every: Steps that each row of metrics.csv covers.
    """

    env: str = "glimpse/Digits-v0"

    def __post_init__(self) -> None:
        """Refuse what cannot be meant."""
        super().__post_init__()
        check_word(env=self.env)


@dataclass(frozen=True, kw_only=True)
class ImageOptions:
    """What is looked at, where images are seen whole.

    Attributes:
        images: A name (`glimpse list` shows them), or the path of a folder of class folders.
        canvas: One of `glimpse.canvas.CANVASES` on which each image is laid, or none.
        image_size: Height and width to which a folder's images are resized, in pixels.
        data_root: The folder with MNIST; by default that of the environment variable GLIMPSE_DATA.
    """

    images: str | None = None
    canvas: str | None = None
    image_size: tuple[int, int] | None = None
    data_root: str | None = None


def check_word(**options: object) -> None:
    """Refuse options that are no words, as a config file may hold.

    Raises:
        ValueError: One is none.
    """
    for name, value in options.items():
        if not isinstance(value, str):
            raise ValueError(f"`{name}` must be a word, got {value!r}: mend config.yaml")


def make_core(
    env: str, view: Mapping[str, Any], rows: int, device: torch.device, **learner: Any
) -> GlimpseBatch:
    """Return the engine of a registered environment.

    Args:
        env: Its id.
        view: Options that differ from its own.
        rows: How many images at once.
        device: Where.
        learner: Options that are the learner's: `copies`, `split`.

    Raises:
        ValueError: There is no such environment, or it has no engine of ours.
    """
    try:
        made = gymnasium.make_vec(
            env,
            num_envs=rows,
            vectorization_mode="vector_entry_point",
            device=str(device),
            **view,
            **learner,
        )
    except (gymnasium.error.Error, ImportError, TypeError, ValueError) as error:
        spec = gymnasium.registry.get(env.split(":")[-1])
        if spec is not None and str(spec.vector_entry_point).startswith("glimpse.envs."):
            raise  # an option that does not fit
        reason = str(error).splitlines()[0].rstrip(".")
        raise ValueError(
            f"`env` must be one of {', '.join(ENVIRONMENTS)} or registered, got {env!r} "
            f"({reason}): check the spelling, or name the module that registers it: MODULE:ID"
        ) from error
    core = getattr(made.unwrapped, "core", None)
    if not isinstance(core, GlimpseBatch):
        raise ValueError(
            f"`env` must be an environment of Glimpse, got {env!r}, which shows no images: "
            f"choose one of {', '.join(ENVIRONMENTS)}"
        )
    return core


def resolved(env: str, view: Mapping[str, Any]) -> dict[str, Any]:
    """Return everything that an environment shows and how: its own options and the given ones."""
    own = gymnasium.registry[env.split(":")[-1]].kwargs
    return given(asdict(EnvConfig.of({**own, **view})), ViewOptions)


def check_fit(agent: Agent, core: GlimpseBatch, folder: RunFolder) -> None:
    """Refuse an environment that is not the one that the agent was made for.

    Raises:
        ValueError: Eye, channels or task differ.
    """
    wanted = (agent.eye, agent.channels, agent.task)
    got = (core.eye, core.channels, answered(core.task))
    if wanted != got:
        raise ValueError(
            f"{folder.path / 'config.yaml'} must describe what agent.json does, {wanted}, got "
            f"{got}: restore it"
        )


def read_options(folder: RunFolder, config: type) -> dict[str, Any]:
    """Return the options of a run, among them all of a config.

    Raises:
        ValueError: The file is missing or damaged, or one of those options is.
    """
    stored = folder.read_config()
    missing = [field.name for field in fields(config) if field.name not in stored]
    if missing:
        raise ValueError(
            f"{folder.path / 'config.yaml'} must hold every option, got none called "
            f"{', '.join(missing)}: restore it"
        )
    return stored


def given(options: Mapping[str, Any], names: object) -> dict[str, Any]:
    """Return those of the options that are named and not None."""
    wanted = {field.name for field in fields(names)}  # type: ignore[arg-type]
    return {name: value for name, value in options.items() if name in wanted and value is not None}
