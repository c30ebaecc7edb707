"""An agent: the networks, the eye they look through, and how they choose where to look."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Float32, Shaped
from torch import Tensor, nn

from glimpse.batch import GlimpseBatch
from glimpse.checks import check_count, check_shape, to_tensor
from glimpse.diagnosis import Diagnosis, describe, diagnose
from glimpse.drawing import Look
from glimpse.episodes import EpisodeBatch
from glimpse.evaluation import ErrorRate, error_rates
from glimpse.eye import Eye
from glimpse.halting import Halt, halt
from glimpse.image_set import ImageSet
from glimpse.networks import RecurrentAttention
from glimpse.precision import autocast
from glimpse.randomness import derive_seed
from glimpse.sensor import GlimpseSensor
from glimpse.tasks import (
    Classification,
    Sequence,
    Task,
    answered,
    describe_task,
    task_of,
)

from .rollout import Rollout, roll_out
from .training import TrainingConfig

# Images looked at at once when nothing is learned.
_ROWS = 512


class Prediction(NamedTuple):
    """What an agent says of images.

    Attributes:
        probabilities: Of the classes, after each glimpse; of a task of your own, its answers.
        locations: Where the glimpses were, `(x, y)` in [-1, 1] of the image.
    """

    probabilities: Float32[Tensor, "B T n"]
    locations: Float32[Tensor, "B T 2"]


class Survey(NamedTuple):
    """One pass over the images of a split.

    Attributes:
        errors: After each glimpse.
        glimpses: How many an image had in the mean.
        halting: What comes of stopping as soon as an answer is sure; nothing of a sequence, all of
            whose answers are needed.
        diagnosis: Where the glimpses lay.
    """

    errors: tuple[ErrorRate, ...]
    glimpses: float
    halting: tuple[Halt, ...]
    diagnosis: Diagnosis


class Evaluation(NamedTuple):
    """The errors after each glimpse, with one pass over the images, nothing averaged.

    Attributes:
        mean: With the locations that the policy chooses when it counts: a Gaussian's mean.
        sampled: With locations drawn as in training.
        glimpses: How many an image had with `mean`, in the mean.
        halting: What comes of stopping `mean` as soon as an answer is sure; nothing of a sequence.
        diagnosis: Where the glimpses of `mean` lay.
    """

    mean: tuple[ErrorRate, ...]
    sampled: tuple[ErrorRate, ...]
    glimpses: float
    halting: tuple[Halt, ...]
    diagnosis: Diagnosis


@dataclass(frozen=True, eq=False)
class Agent:
    """Networks that look at images through an eye.

    Attributes:
        config: How it was, or will be, trained; it names the policy.
        eye: How it looks.
        channels: Of the images it can look at.
        task: What its answers are.
        model: Its networks.
    """

    config: TrainingConfig
    eye: Eye
    channels: int
    task: Task
    model: RecurrentAttention

    @classmethod
    def create(
        cls,
        config: TrainingConfig,
        eye: Eye,
        channels: int,
        task: Task,
        *,
        device: torch.device | str = "cpu",
        glimpse_network: nn.Module | None = None,
    ) -> "Agent":
        """Make an agent that knows nothing yet.

        Args:
            config: Its sizes, its policy, and the seed of its weights.
            eye: How it looks.
            channels: Of the images.
            task: What its answers are.
            device: Where its weights lie.
            glimpse_network: A network of your own, glimpse (B, K, C, s, s) and location (B, 2),
                with the zoom (B, 3), to (B, `config.features`).
        """
        check_count(1, channels=channels)
        sensor = eye.sensor
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(derive_seed(config.seed, 0, 3))  # not CUDA's
            model = RecurrentAttention(
                (sensor.scales, channels, sensor.size, sensor.size),
                task.scores,
                context=eye.context,
                core=config.core,
                hidden=config.hidden,
                glimpse_network=glimpse_network,
                features=config.features,
                where=2 + (eye.zoom > 1),
                locator=partial(config.make_locator, size=eye.action_size),
                baseline=config.make_baseline,
            )
        return cls(config, eye, channels, task, model.to(device))

    @classmethod
    def for_batch(
        cls, config: TrainingConfig, batch: EpisodeBatch, glimpse_network: nn.Module | None = None
    ) -> "Agent":
        """Make an agent for the images of an environment."""
        return cls.create(
            config,
            batch.eye,
            batch.channels,
            answered(batch.task),
            device=batch.device,
            glimpse_network=glimpse_network,
        )

    def describe(self) -> dict[str, Any]:
        """Return what it takes to make it again, beside the weights and its name."""
        return {
            "config": asdict(self.config),
            "eye": asdict(self.eye),
            "channels": self.channels,
            "task": describe_task(self.task),
        }

    @classmethod
    def from_description(
        cls,
        description: Mapping[str, Any],
        config: type[TrainingConfig],
        *,
        task: Task | None = None,
        device: torch.device | str = "cpu",
        glimpse_network: nn.Module | None = None,
    ) -> "Agent":
        """Make the agent that `describe` described, with new weights.

        Args:
            description: What `describe` returned.
            config: The type of its config.
            task: The task, where it is one of your own.
            device: As for `create`.
            glimpse_network: As for `create`.

        Raises:
            ValueError: The task is one of your own and not given.
        """
        eye = dict(description["eye"])
        eye["sensor"] = GlimpseSensor(**eye["sensor"])
        options: dict[str, Any] = {  # JSON has no tuples
            name: tuple(value) if isinstance(value, list) else value
            for name, value in description["config"].items()
        }
        return cls.create(
            config(**options),
            Eye(**eye),
            description["channels"],
            task or task_of(description["task"]),
            device=device,
            glimpse_network=glimpse_network,
        )

    def predict(
        self, images: Shaped[Tensor, "B C H W"] | np.ndarray, *, seed: int = 0
    ) -> Prediction:
        """Look at images and say what they show.

        Args:
            images: `(B, C, H, W)`, uint8 or float in [0, 1], of any size.
            seed: Of the first locations, where the eye begins at random: image b's is a function
                of the seed and b.

        Raises:
            ValueError: The images are of the wrong shape, type or range.
        """
        batch = self._unjudged(images)
        probabilities, locations = [], []
        for rollout in self._sweep(batch, "test", seed=seed):
            probabilities.append(self._believed(rollout))
            locations.append(_held(batch.sensed, rollout))
        return Prediction(torch.cat(probabilities), torch.cat(locations))

    def look(self, image: Shaped[Tensor, "C H W"] | np.ndarray, *, seed: int = 0) -> Look:
        """Look at one image; return what it takes to draw that.

        Args:
            image: `(C, H, W)`, uint8 or float in [0, 1].
            seed: As for `predict`.

        Raises:
            ValueError: The image is of the wrong shape, type or range.
        """
        batch = self._unjudged(image[None])
        rollout = next(self._sweep(batch, "test", seed=seed))
        return self._look(batch, rollout, 0, right=None)

    def evaluate(self, batch: EpisodeBatch, split: str, *, seed: int = 0) -> Evaluation:
        """Return the errors on every image of a split.

        Args:
            batch: The environment; its rows say how many images are looked at at once.
            split: `train`, `validation` or `test`.
            seed: Of what is random in the images, of the first locations and of the sampled ones.
        """
        mean = self.survey(batch, split, seed=seed)
        sampled = self.survey(batch, split, seed=seed, sampled=True)
        return Evaluation(mean.errors, sampled.errors, mean.glimpses, mean.halting, mean.diagnosis)

    def survey(
        self, batch: EpisodeBatch, split: str, *, seed: int = 0, sampled: bool = False
    ) -> Survey:
        """Return the error after each glimpse and where these lay, of one way of choosing them.

        Args:
            batch: As for `evaluate`.
            split: As for `evaluate`.
            seed: As for `evaluate`.
            sampled: Draw locations as in training.
        """
        copies = batch.copies
        right, sure, counts, trails, sensed, thumbnails = [], [], [], [], [], []
        for rollout in self._sweep(batch, split, seed=seed, sampled=sampled):  # one row an image
            right.append(self.task.correct(rollout.answers, rollout.target)[::copies])
            sure.append(self.task.confidence(rollout.answers)[::copies])
            counts.append(rollout.glimpses[::copies])
            trails.append(_held(batch.trail, rollout)[::copies])
            sensed.append(_held(batch.sensed, rollout)[::copies])
            thumbnails.append(describe(batch.shown[::copies]))
        diagnosis = diagnose(
            torch.cat(trails),
            torch.cat(thumbnails),
            windows=batch.eye.sensor.windows,
            shape=batch.shape,
            sensed=torch.cat(sensed),
            chosen=batch.eye.actions,
        )
        correct, certain, count = torch.cat(right), torch.cat(sure).float(), torch.cat(counts)
        number = torch.arange(1, certain.shape[1] + 1, device=certain.device)
        certain[number >= count[:, None]] = torch.inf  # who stopped had no later glimpse
        halting = () if isinstance(self.task, Sequence) else halt(certain, correct)
        return Survey(error_rates(correct), float(count.double().mean()), halting, diagnosis)

    def averaged(self, batch: EpisodeBatch, split: str, *, seed: int = 0) -> tuple[ErrorRate, ...]:
        """Return the error after each glimpse of the mean answer of all copies of an image.

        Each of the copies looks elsewhere, its locations drawn as in training (and the first one
        too, where it is random); their probabilities are averaged.

        Args:
            batch: The environment, with as many copies as looks shall be averaged.
            split: As for `evaluate`.
            seed: As for `evaluate`.
        """
        right = []
        for rollout in self._sweep(batch, split, seed=seed, sampled=True):
            every = self._believed(rollout)  # (G * M, T, n)
            mean = every.view(-1, batch.copies, *every.shape[1:]).mean(dim=1)
            right.append(self.task.correct(mean, rollout.target[:: batch.copies]))
        return error_rates(torch.cat(right))

    def looks(self, batch: EpisodeBatch, split: str, count: int, *, seed: int = 0) -> list[Look]:
        """Return how it looks at the first images of a split: `count`, at most a batch."""
        observation, _ = next(batch.sweep(split, seed=seed))
        noise = self._noise(batch, seed)
        rollout = self._play(batch, observation, self.config.policy.best, noise)
        right = self.task.correct(rollout.answers, rollout.target)
        return [
            self._look(batch, rollout, row, right[row].tolist())
            for row in range(min(count, len(rollout.target)))
        ]

    def _unjudged(self, images: Shaped[Tensor, "B C H W"] | np.ndarray) -> GlimpseBatch:
        """Return images as an environment where nobody knows what is right."""
        images = to_tensor(images)
        check_shape(
            "images",
            images,
            f"B {self.channels} H W",
            mend="add axes with images[None, None], or convert the colours",
        )
        count = len(images)
        shown = ImageSet.from_arrays(images, [0] * count, splits={"test": range(count)})
        device = next(self.model.parameters()).device
        batch = GlimpseBatch(shown.to(device), self.eye, min(count, _ROWS), split="test")
        batch.task = self.task
        return batch

    def _look(
        self, batch: EpisodeBatch, rollout: Rollout, row: int, right: list[bool] | None
    ) -> Look:
        """Return what a row's episode looked like, up to its last glimpse."""
        had = int(rollout.glimpses[row])
        answers = rollout.answers[row, :had]
        return Look(
            image=batch.pixels(row),
            locations=batch.sensed[row, :had],
            sensors=[self.eye.at_level(level) for level in batch.levels[row, :had].tolist()],
            answers=[self.task.say(answer) for answer in answers],
            confidence=self.task.confidence(answers).tolist(),
            right=None if right is None else right[:had],
            width=batch.width(row),
        )

    def _believed(self, rollout: Rollout) -> Float32[Tensor, "B T n"]:
        """Return the probabilities of classes, or the answers of another task."""
        classes = isinstance(self.task, Classification | Sequence)
        return rollout.answers.exp() if classes else rollout.answers

    def _sweep(
        self, batch: EpisodeBatch, split: str, *, seed: int, sampled: bool = False
    ) -> Iterator[Rollout]:
        choose = self.config.policy.sample if sampled else self.config.policy.best
        noise = self._noise(batch, seed)
        for observation, _ in batch.sweep(split, seed=seed):
            yield self._play(batch, observation, choose, noise)

    def _noise(self, batch: EpisodeBatch, seed: int) -> torch.Generator:
        return torch.Generator(batch.device).manual_seed(derive_seed(seed, 0, 4))

    @torch.no_grad()
    def _play(
        self,
        batch: EpisodeBatch,
        observation: Mapping[str, Tensor],
        choose: Callable[[Tensor, torch.Generator], Tensor],
        noise: torch.Generator,
    ) -> Rollout:
        self.model.eval()
        with autocast(batch.device, self.config.precision):
            rollout = roll_out(self.model, batch, observation, lambda mean: choose(mean, noise))
        if not bool(rollout.answers.isfinite().all()):
            raise ValueError(
                "the agent's answers must be numbers, got NaN or infinity: train it with a lower "
                "learning_rate, or look for NaN in its weights"
            )
        return rollout


def _held(locations: Float32[Tensor, "B T 2"], rollout: Rollout) -> Float32[Tensor, "B T 2"]:
    """Return locations of which the last of an episode that stopped is repeated to the end."""
    number = torch.arange(locations.shape[1], device=locations.device)
    last = number.minimum(rollout.glimpses[:, None] - 1)
    return locations.gather(1, last[..., None].expand_as(locations))
