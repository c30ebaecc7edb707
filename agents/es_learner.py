"""Evolution trains where to look: a population of location heads on one perceiver.

Convention:
    P heads are tried on G images in M copies, B = G * M rows: row p * B + b is what head p sees of
    row b. Heads differ; image, what is random in it, first location and perceiver are the same.
"""

from collections.abc import Mapping
from typing import Any

import torch
from jaxtyping import Float, Float32
from torch import Tensor, nn
from torch.func import functional_call, vmap

from glimpse.batch import GlimpseBatch
from glimpse.checkpoint import own_checkpoint
from glimpse.draws import Draws
from glimpse.episodes import EpisodeBatch
from glimpse.loop import Metrics
from glimpse.networks import RecurrentAttention
from glimpse.precision import autocast
from glimpse.processes import ALONE, Processes
from glimpse.randomness import derive_seed
from glimpse.rewards import REWARDS
from glimpse.tasks import answered

from .controls import control
from .es import EsConfig, ShowingPolicy
from .rollout import Locate, costs, roll_out
from .snes import Snes

# Tells the images that heads are tried on from those that the perceiver learns from.
_TRIED = 7


class EsLearner:
    """Teach a perceiver by gradients, and by evolution where it looks.

    Every random number of step i is a function of (seed, i) and of a head's number, so a checkpoint
    holds no random state and no state of the environment. Processes share the heads of a
    generation; the rest each of them does by itself, and all come to the same.

    Args:
        config: How to learn.
        batch: What to look at: `config.batch * config.copies` rows, from the training split.
        model: What learns; its location head is always the centre of the search.
        processes: Who else evaluates heads.

    Attributes:
        search: The search for the location head's weights.

    Raises:
        ValueError: The batch has another number of rows or of copies, images are to be searched, or
            a sequence is to be learned with a curriculum.
    """

    def __init__(
        self,
        config: EsConfig,
        batch: EpisodeBatch,
        model: RecurrentAttention,
        processes: Processes = ALONE,
    ) -> None:
        anywhere, std = torch.zeros((2,), device=batch.device).unbind()

        def anneal(step: int) -> None:
            anywhere.fill_(not config.evolves(step))
            std.fill_(config.std_at(step))

        self.config, self.model = config, model
        self._perceiver = control(
            config, batch, model, policy=ShowingPolicy(anywhere, std), anneal=anneal
        )
        self._processes, self._step = processes, 0
        self._batch, self._task = batch.twin(), answered(batch.task)
        self._draws = Draws(batch.images, config.trials, derive_seed(config.seed, 0, _TRIED))
        centre = torch.cat([weight.detach().flatten() for weight in model.locator.parameters()])
        self.search = Snes(
            centre,
            std=config.search_std,
            population=config.population,
            centre_rate=config.centre_rate,
            std_rate=config.std_rate,
            seed=config.seed,
        )

    def step(self) -> Metrics:
        """Teach the perceiver, try a generation of heads, return what there is to log.

        Raises:
            ValueError: The perceiver's loss is no number any more, or a process is lost.
        """
        metrics = dict(self._perceiver.step())
        if self.config.evolves(self._step):
            metrics |= self._evolve()
        self._step += 1
        return metrics

    def fitness(self, weights: Float[Tensor, "p n"]) -> Float32[Tensor, "p"]:
        """Return what each of these heads is worth on the images of this step's generation.

        F_p = 1/B sum_b sum_t (r_t - c_t), the mean over B episodes of the rewards of all glimpses,
        less what they cost; looks are where the head says, with no noise.
        """
        # Others begin as many episodes as they have rows, whatever they are asked for.
        at_once = len(weights) if isinstance(self._batch, GlimpseBatch) else 1
        return torch.cat([self._try(some) for some in torch.split(weights, at_once)])

    def state_dict(self) -> dict[str, Any]:
        """Return the perceiver's state, the search's and the number of steps taken."""
        return {
            "perceiver": self._perceiver.state_dict(),
            "search": self.search.state_dict(),
            "step": self._step,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go back to such a state.

        Raises:
            ValueError: The state is not one of this learner's.
        """
        with own_checkpoint():
            perceiver, step = state["perceiver"], int(state["step"])
            self.search.load_state_dict(state["search"])
        self._perceiver.load_state_dict(perceiver)
        self._step = step

    def _evolve(self) -> dict[str, Tensor]:
        """Try a generation, and write the new centre into the model."""
        search, processes = self.search, self._processes
        search.centre_rate = self.config.centre_rate * self.config.schedule(self._step)
        noise = search.noise(processes.share(search.population))
        tried = torch.cat([search.weights(noise), search.centre[None].float()])
        *_, centre = found = self.fitness(tried)
        fitness = processes.gather(found[:-1], search.population)
        search.improve(noise, fitness, processes)
        for locator in (self.model.locator, self._perceiver.learning.locator):
            _write(search.centre, locator)
        return {
            "fitness best": fitness.nan_to_num(nan=-torch.inf).max(),
            "fitness mean": fitness.nanmean(),
            "fitness centre": centre,
            "search std": search.std.mean(),
        }

    @torch.no_grad()
    def _try(self, weights: Float[Tensor, "p n"]) -> Float32[Tensor, "p"]:
        batch, config = self._batch, self.config
        number = torch.arange(config.trials * config.copies, device=batch.device)
        seeds = self._draws.first_seed(self._step) + number
        indices = self._draws.images(self._step)
        self.model.eval()
        observation = batch.begin(seeds.repeat(len(weights)), indices.repeat(len(weights)))
        with autocast(batch.device, config.precision):
            rollout = roll_out(
                self.model,
                batch,
                observation,
                lambda mean: mean,
                glimpses=config.glimpses_at(self._step, batch.eye.glimpses),
                locate=together(self.model.locator, weights),
            )
        reward = REWARDS[config.reward](self._task, rollout.answers, rollout.target)
        earned = (reward - costs(rollout, batch.cost)).sum(dim=1)
        return earned.view(len(weights), -1).mean(dim=1)


def together(locator: nn.Module, weights: Float[Tensor, "p n"]) -> Locate:
    """Return many location heads as one: of the rows, each has an equal part, in order.

    Args:
        locator: What a head computes.
        weights: Those of each head, in the order of the locator's parameters.
    """
    shapes = {name: weight.shape for name, weight in locator.named_parameters()}
    parts = torch.split(weights, [shape.numel() for shape in shapes.values()], dim=1)
    own = {
        name: part.reshape(-1, *shape)
        for (name, shape), part in zip(shapes.items(), parts, strict=True)
    }

    def one(own: Mapping[str, Tensor], hidden: Tensor) -> Tensor:
        mean: Tensor = functional_call(locator, dict(own), (hidden,))
        return mean

    def locate(hidden: Tensor) -> Tensor:
        seen = hidden.reshape(len(weights), -1, hidden.shape[-1])  # (p, B or B * A, D)
        return vmap(one)(own, seen).reshape(*hidden.shape[:-1], -1)

    return locate


@torch.no_grad()
def _write(vector: Float[Tensor, "n"], locator: nn.Module) -> None:
    """Give a location head these weights, in place."""
    parts = torch.split(vector, [weight.numel() for weight in locator.parameters()])
    for weight, part in zip(locator.parameters(), parts, strict=True):
        weight.copy_(part.view_as(weight))
