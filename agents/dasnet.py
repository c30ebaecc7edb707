"""dasNet: a frozen network that looks again, with gains that a policy sets from what it saw.

Convention:
    Pass 0 has gains one; T passes follow. Answers are `(B, T + 1, n)`, one after each pass, the
    last of which counts.

Source: M. Stollenga, J. Masci, F. Gomez, J. Schmidhuber, "Deep networks with internal selective
attention through feedback connections", NIPS 2014. Its constants are as we recall them.
"""

from dataclasses import asdict, dataclass, replace
from math import cos, pi
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Float32, Shaped
from torch import Tensor

from glimpse.bases import load_base
from glimpse.batches import as_floats, swept
from glimpse.checks import check_at_least, check_count, check_images, check_name, to_tensor
from glimpse.evaluation import ErrorRate, error_rates
from glimpse.feedback_pay import PAY
from glimpse.gated_maxout import GatedMaxout
from glimpse.gated_module import GatedModule
from glimpse.gating import Gated, Pass
from glimpse.image_set import ImageSource
from glimpse.maxout import MaxoutNetwork
from glimpse.run_folder import RunFolder

from .gain_policy import POLICIES, Choose, Standard, look_again
from .snes import check_population

_ROWS = 500  # images looked at at once when nothing is learned


@dataclass(frozen=True, kw_only=True)
class DasnetConfig:
    """How dasNet's policy is found.

    Attributes:
        base: The folder of a run of `glimpse train base`, or a network's registered name.
        steps: How many generations there are.
        population: How many policies each of them tries (about the paper's, as we recall it).
        batch: How many images all policies of a generation look at (likewise).
        passes: How many passes T follow the first (the paper's, as we recall it).
        policy: `linear`, the paper's, or `static`, a control: the same gains whatever is seen.
        std: Standard deviation of the weights tried in the first generation.
        centre_rate: Learning rate of the centre of what is tried; 1 is the published one.
        last_rate: That of the last generation, to which it falls along a cosine: what is found is
            then less a matter of the last batches; None: it stays.
        std_rate: Learning rate of the standard deviations; None: the published one.
        reward: What the last answer pays: `log_loss`, the paper's weighted one, or `correct`.
        boost: How much the log-loss of a rightly classified image counts, of a wrongly classified
            one 1 (0.005 in the paper, as we recall it; there it taught us nothing).
        standardise: Whether policies read observations with mean 0 and standard deviation 1 on
            training images; the paper's read them as they are.
        learn_from: Which training images: those that the base was `shown`, as in the paper, as we
            recall it, or the `other` ones, on which it errs as it will on new ones.
        seed: Of images and of what is tried; the same seed gives the same run.
    """

    base: str | None = None
    steps: int = 150
    population: int = 50
    batch: int = 128
    passes: int = 5
    policy: Literal["linear", "static"] = "linear"
    std: float = 0.02
    centre_rate: float = 1.0
    last_rate: float | None = 0.0
    std_rate: float | None = None
    reward: Literal["log_loss", "correct"] = "log_loss"
    boost: float = 0.1
    standardise: bool = True
    learn_from: Literal["shown", "other"] = "other"
    seed: int = 0

    def __post_init__(self) -> None:
        """Refuse options that cannot be meant."""
        check_count(1, steps=self.steps, batch=self.batch, passes=self.passes)
        check_count(0, seed=self.seed)
        check_population(self.population)
        check_at_least(0, centre_rate=self.centre_rate, boost=self.boost)
        check_at_least(1e-12, std=self.std)
        for name, rate in (("std_rate", self.std_rate), ("last_rate", self.last_rate)):
            if rate is not None:
                check_at_least(0, **{name: rate})
        check_name("policy", self.policy, POLICIES)
        check_name("reward", self.reward, PAY)
        check_name("learn_from", self.learn_from, ("shown", "other"))

    def rate_at(self, generation: int) -> float:
        """Return the learning rate of the centre in a generation, from 0."""
        last = self.centre_rate if self.last_rate is None else self.last_rate
        fall = (1 + cos(pi * min(generation / self.steps, 1.0))) / 2
        return last + (self.centre_rate - last) * fall


class FeedbackPrediction(NamedTuple):
    """What dasNet says of images.

    Attributes:
        probabilities: Of the classes, after each pass.
        gains: Of the maps in each pass after the first.
    """

    probabilities: Float32[Tensor, "B T n"]
    gains: Float32[Tensor, "B t A"]


@dataclass(frozen=True, eq=False)
class Dasnet:
    """A frozen network and a policy that sets its gains.

    Attributes:
        config: How the policy was, or will be, found.
        network: With gains.
        standard: How observations are read.
        weights: Of the policy.
    """

    config: DasnetConfig
    network: Gated
    standard: Standard
    weights: Float[Tensor, "n"]

    @classmethod
    def create(cls, config: DasnetConfig, network: Gated, images: Tensor) -> "Dasnet":
        """Make a policy that leaves all gains one.

        Args:
            config: Its kind.
            network: With gains.
            images: Some training images, by which observations are standardised.
        """
        standard = Standard.none(network, images.device)
        if config.standardise:
            standard = Standard.of(_first_pass(network, images))
        maps, observed = sum(network.layers.values()), len(standard.mean)
        size = POLICIES[config.policy].weights(maps, observed)
        return cls(config, network, standard, torch.zeros(size, device=images.device))

    @property
    def maps(self) -> int:
        """How many maps A have gains."""
        return sum(self.network.layers.values())

    def choose(self, weights: Float[Tensor, "P n"]) -> Choose:
        """Return how policies of these weights set gains."""
        return POLICIES[self.config.policy].make(weights, self.standard, self.maps)

    def answers(
        self, images: Float32[Tensor, "B C H W"], passes: int | None = None
    ) -> Float[Tensor, "B T n"]:
        """Return the log-probabilities of the classes after each pass."""
        count = self.config.passes if passes is None else passes
        choose = self.choose(self.weights[None])
        return look_again(self.network, images, choose, 1, count)[:, 0]

    @torch.no_grad()
    def predict(self, images: Shaped[Tensor, "B C H W"] | np.ndarray) -> FeedbackPrediction:
        """Look at images and say what they show.

        Args:
            images: `(B, C, H, W)`, uint8 or float in [0, 1], as large as those of the base.

        Raises:
            ValueError: The images are of the wrong shape, type or range.
        """
        images = to_tensor(images)
        check_images(images)
        self._check_sides(images)
        pixels = as_floats(images).to(self.weights.device)
        parts = torch.split(pixels, self.network.chunk(pixels, 1))
        predicted = [self._predicted(part) for part in parts]
        return FeedbackPrediction(*map(torch.cat, zip(*predicted, strict=True)))

    def evaluate(
        self, images: ImageSource, split: str, *, passes: int | None = None, seed: int = 0
    ) -> tuple[ErrorRate, ...]:
        """Return the error after each pass, the first included, on every image of a split.

        Args:
            images: What to look at.
            split: `train`, `validation` or `test`.
            passes: How many passes follow the first; None: as many as in training.
            seed: Of what is random in images.
        """
        right = [
            self.answers(batch.images, passes).argmax(dim=2) == batch.target[:, None]
            for batch in swept(images, split, _ROWS, seed=seed)
        ]
        return error_rates(torch.cat(right))

    def save(self, run: RunFolder) -> None:
        """Write the policy into a run's folder: `agent.json` and `weights.safetensors`.

        The base is beside it, in the folder `base`.
        """
        run.write_json("agent.json", {"agent": "dasnet", "config": asdict(self.config)})
        tensors = {"policy": self.weights, "mean": self.standard.mean, "scale": self.standard.scale}
        run.write_weights(tensors)

    def _predicted(self, pixels: Float32[Tensor, "B C H W"]) -> FeedbackPrediction:
        """Return the same of floats, as many as are best looked at at once."""
        choose, said, set_to = self.choose(self.weights[None]), [], []
        prepared = self.network.prepare(pixels)
        seen = self.network.look(prepared, pixels.new_ones(len(pixels), 1, self.maps))
        said.append(seen.log_probs[:, 0])
        for _ in range(self.config.passes):
            gains = choose(seen)
            seen = self.network.look(prepared, gains)
            said.append(seen.log_probs[:, 0])
            set_to.append(gains[:, 0])
        return FeedbackPrediction(torch.stack(said, dim=1).exp(), torch.stack(set_to, dim=1))

    def _check_sides(self, images: Shaped[Tensor, "B C H W"]) -> None:
        """Refuse images that are not as large as those of a maxout network; others may be."""
        if not isinstance(self.network, GatedMaxout | GatedModule):
            return
        base = self.network.network
        if isinstance(base, MaxoutNetwork) and tuple(images.shape[1:]) != base.shape:
            raise ValueError(
                f"`images` must be (B, {', '.join(map(str, base.shape))}), as large as those of "
                f"the base, got {tuple(images.shape)}: resize them"
            )

    def check_sizes(self) -> None:
        """Refuse a policy that does not fit the network.

        Raises:
            ValueError: It has another number of weights.
        """
        observed = self.maps + self.network.classes
        wanted = POLICIES[self.config.policy].weights(self.maps, observed)
        if self.weights.shape != (wanted,) or self.standard.mean.shape != (observed,):
            raise ValueError(
                f"the policy must have {wanted} weights for this network, got "
                f"{tuple(self.weights.shape)}: give the network it was trained with"
            )

    def with_weights(self, weights: Float[Tensor, "n"]) -> "Dasnet":
        """Return the same with another policy."""
        return replace(self, weights=weights.float())


def load_dasnet(
    run: str | Path, *, network: Gated | None = None, device: torch.device | str = "cpu"
) -> Dasnet:
    """Return what was trained in a folder. No code in the folder is run.

    Args:
        run: The folder.
        network: The network of your own that it was trained with, if it was.
        device: Where its weights shall lie.

    Raises:
        ValueError: The folder is none of such a run, or a file is missing or damaged; it is named.
    """
    folder = RunFolder.open(run)
    description = folder.read_json("agent.json")
    if description.get("agent") != "dasnet":
        raise ValueError(
            f"{folder.path} must hold a run of dasnet, got one of {description.get('agent')}: name "
            "the folder of one"
        )
    if network is None and not (folder.path / "base").is_dir():
        raise ValueError(
            f"`network` must be given for {folder.path}, got none: its base is not in the folder, "
            "give the one it was trained with"
        )
    if network is None:
        base = load_base(folder.path / "base")
        shape = (1, *base.network.shape) if isinstance(base.network, MaxoutNetwork) else ()
        network = base.gated(torch.zeros(shape, device=device))
    tensors = {name: tensor.to(device) for name, tensor in folder.read_weights().items()}
    try:
        config = DasnetConfig(**description["config"])
        standard = Standard(tensors["mean"], tensors["scale"])
        net = Dasnet(config, network, standard, tensors["policy"])
        net.check_sizes()
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise ValueError(
            f"{folder.path} must hold a run of dasnet, got {error}: name the folder of one, or "
            "restore agent.json and weights.safetensors"
        ) from error
    return net


@torch.no_grad()
def _first_pass(network: Gated, images: Float[Tensor, "B C H W"]) -> Pass:
    """Return what is observed of images with all gains one."""
    activations, log_probs = [], []
    for part in torch.split(images, network.chunk(images, 1)):
        ones = part.new_ones(len(part), 1, sum(network.layers.values()))
        seen = network.look(network.prepare(part), ones)
        activations.append(seen.activations)
        log_probs.append(seen.log_probs)
    return Pass(torch.cat(activations), torch.cat(log_probs))
