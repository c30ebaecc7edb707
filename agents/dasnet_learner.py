"""The search for dasNet's policy, a generation a step.

All individuals of a generation look at the same images. Images and noise are functions of (seed,
generation), so a checkpoint holds no random state, and processes that share a population need to
tell one another no more than fitness and two vectors.
"""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from glimpse.batches import Batch, drawn
from glimpse.checkpoint import own_checkpoint
from glimpse.draws import Draws
from glimpse.episodes import Pool
from glimpse.evaluation import ErrorRate
from glimpse.feedback import FeedbackBatch
from glimpse.loop import Metrics
from glimpse.processes import ALONE, Processes

from .dasnet import Dasnet, DasnetConfig
from .gain_policy import look_again
from .snes import Snes


class DasnetLearner:
    """Find a policy that sets the gains of a frozen network.

    Args:
        config: How to search.
        batch: The network with gains, what it looks at, and what answers pay.
        start: The policy to begin with.
        pool: The images to learn from; None: the training split of the batch's.
        processes: Who shares the population; all of them take every step together.
    """

    def __init__(
        self,
        config: DasnetConfig,
        batch: FeedbackBatch,
        start: Dasnet,
        *,
        pool: Pool | None = None,
        processes: Processes = ALONE,
    ) -> None:
        self.config, self.batch, self._start, self._processes = config, batch, start, processes
        self._draws = Draws(pool or batch.images, config.batch, config.seed)
        self._search = Snes(
            start.weights,
            std=config.std,
            population=config.population,
            centre_rate=config.centre_rate,
            std_rate=config.std_rate,
            seed=config.seed,
        )
        self._best, self._wrong = start.weights.clone(), -1  # -1: nothing was validated

    @property
    def agent(self) -> Dasnet:
        """The centre of what is tried: the policy that was found so far."""
        return self._start.with_weights(self._search.centre)

    @property
    def best(self) -> Dasnet:
        """The policy that was best on validation images, the first included; else `agent`."""
        return self.agent if self._wrong < 0 else self._start.with_weights(self._best)

    def validate(self) -> tuple[ErrorRate, ...]:
        """Return the errors on validation images after each pass; keep the policy if it is best."""
        errors = self.agent.evaluate(self.batch.images, "validation")
        if self._wrong < 0:  # the first policy leaves all as it is after pass 0
            self._wrong = errors[0].wrong
        if errors[-1].wrong < self._wrong:
            self._best, self._wrong = self.agent.weights, errors[-1].wrong
        return errors

    def step(self) -> Metrics:
        """Try a population on a batch of images, and move towards those that did well.

        Returns:
            `fitness centre`; `fitness best` and `fitness mean` of the population; the mean
            `search std`; and `train error %` of the centre.

        Raises:
            ValueError: No individual's fitness is a number, or a process is lost.
        """
        search, processes, batch = self._search, self._processes, self._images()
        noise = search.noise(processes.share(search.population))
        tried = torch.cat([search.weights(noise), search.centre.float()[None]])
        fitness, wrong = self._fitness(tried, batch)
        every = processes.gather(fitness[:-1].double(), search.population)
        known = every[~every.isnan()]
        if len(known) == 0:
            raise ValueError(
                "the fitness of some individual must be a number, got NaN of all: choose a smaller "
                "`std`, or look for NaN in the base's weights"
            )
        search.centre_rate = self.config.rate_at(search.generation)
        search.improve(noise, every, processes)
        return {
            "fitness centre": fitness[-1],
            "fitness best": known.max(),
            "fitness mean": known.mean(),
            "search std": search.std.mean(),
            "train error %": 100 * wrong[-1],
        }

    def _images(self) -> Batch:
        generation, images = self._search.generation, self.batch.images
        indices = self._draws.images(generation)
        number = torch.arange(len(indices), device=indices.device)
        return drawn(images, self._draws.first_seed(generation) + number, indices)

    def _fitness(
        self, weights: Float[Tensor, "P n"], batch: Batch
    ) -> tuple[Float[Tensor, "P"], Float[Tensor, "P"]]:
        """Return what policies are paid, the mean over images, and the share they get wrong."""
        count = len(weights)
        choose, passes = self._start.choose(weights), self.config.passes
        last = look_again(self.batch.network, batch.images, choose, count, passes)[:, :, -1]
        target = batch.target[:, None].expand(-1, count)
        wrong = (last.argmax(dim=2) != target).float().mean(dim=0)
        return self.batch.pay(last, target).mean(dim=0), wrong

    def state_dict(self) -> dict[str, Any]:
        """Return the distribution that is searched, the generation, and the best policy."""
        return {**self._search.state_dict(), "best": self._best, "wrong": self._wrong}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go back to such a state.

        Raises:
            ValueError: The state is not one of this learner's.
        """
        with own_checkpoint():
            self._search.load_state_dict(state)
            self._best = state["best"].to(self._best)
            self._wrong = int(state["wrong"])
