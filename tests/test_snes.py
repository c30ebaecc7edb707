"""The search: to the last digit what EvoTorch's SNES does, and the same however it is shared."""

from collections.abc import Callable
from itertools import pairwise
from math import exp, log, sqrt
from typing import Any

import pytest
import torch
from expect import generator, refused
from torch import Tensor

from glimpse.agents import Snes, utilities
from glimpse.agents.snes import check_population, default_population, default_std_rate
from glimpse.processes import Processes

# The published numbers


def test_utilities_of_four_by_hand() -> None:
    """ln 3 - ln i for i = 1, 2, 3, 4 is 1.0986, 0.4055, 0 and below; their sum is ln 4.5."""
    got = utilities(torch.tensor([10.0, 30.0, 20.0, 0.0]))
    wanted = [-1 / 4, log(3) / log(4.5) - 1 / 4, log(1.5) / log(4.5) - 1 / 4, -1 / 4]
    assert got.tolist() == pytest.approx(wanted, abs=1e-15)
    assert wanted == pytest.approx([-0.25, 0.48042, 0.01958, -0.25], abs=1e-5)


def test_utilities_of_five_by_hand() -> None:
    """ln 3.5 - ln i for i = 1, 2, 3 is positive, and their sum is ln (3.5^3 / 6)."""
    got = utilities(torch.tensor([5.0, 4.0, 3.0, 2.0, 1.0]))
    top = [log(3.5), log(3.5 / 2), log(3.5 / 3), 0, 0]
    wanted = [one / log(3.5**3 / 6) - 1 / 5 for one in top]
    assert got.tolist() == pytest.approx(wanted, abs=1e-15)
    assert wanted == pytest.approx([0.43704, 0.08457, -0.12161, -0.2, -0.2], abs=1e-5)


@pytest.mark.parametrize("count", [2, 3, 7, 50])
def test_utilities_sum_to_zero_and_fall_with_rank(count: int) -> None:
    got = utilities(torch.arange(count, 0, -1.0))
    assert got.dtype == torch.float64
    assert float(got.sum()) == pytest.approx(0, abs=1e-14)
    assert all(one >= other for one, other in pairwise(got.tolist()))
    assert got[0] > 0 > got[-1]
    order = torch.randperm(count, generator=generator())
    assert torch.equal(utilities(torch.arange(count, 0, -1.0)[order]), got[order])


def test_equal_ones_share_what_their_ranks_count_for() -> None:
    apart = utilities(torch.tensor([4.0, 3.0, 2.0, 1.0]))
    got = utilities(torch.tensor([4.0, 3.0, 3.0, 1.0]))
    middle = float(apart[1] + apart[2]) / 2
    assert got.tolist() == pytest.approx([float(apart[0]), middle, middle, float(apart[3])])
    same = utilities(torch.full((6,), 2.5))
    assert same.tolist() == pytest.approx([0.0] * 6, abs=1e-15)
    assert utilities(torch.tensor([0.0, -0.0, -1.0]))[:2].diff().item() == 0


def test_nan_ranks_last_and_infinities_where_they_belong() -> None:
    nan, inf = torch.nan, torch.inf
    got = utilities(torch.tensor([nan, 2.0, inf, -3.0, 1.0]))
    wanted = utilities(torch.tensor([-4.0, 2.0, 3.0, -3.0, 1.0]))
    assert torch.equal(got, wanted)
    finite = utilities(torch.tensor([0.0, 1.0, 2.0]))
    assert torch.equal(utilities(torch.tensor([-inf, 0.0, 1.0])), finite)
    both = utilities(torch.tensor([nan, 0.0, nan, 1.0]))
    assert both[0] == both[2] == -1 / 4


def test_a_million_weights_have_the_published_rate_and_population() -> None:
    assert default_std_rate(10**6) == pytest.approx(0.00336, abs=5e-6)
    assert default_population(10**6) == 45
    assert default_std_rate(1) == pytest.approx(3 / 5)
    assert default_population(1) == 4
    assert [default_population(n) for n in (2, 10, 100)] == [6, 10, 17]
    search = Snes(torch.zeros(100), std=1.0)
    assert search.population == 17
    assert search.std_rate == pytest.approx((3 + log(100)) / (5 * sqrt(100)))


# A generation


def test_a_generation_by_hand() -> None:
    search = Snes(
        torch.tensor([1.0, -2.0]), std=0.5, population=4, centre_rate=0.5, std_rate=0.3, seed=1
    )
    z = torch.tensor([[1.0, 0.0], [0.0, 2.0], [-1.0, 1.0], [0.5, -0.5]])
    assert torch.equal(search.weights(z)[1], torch.tensor([1.0, -1.0]))
    search.improve(z, torch.tensor([3.0, 4.0, 1.0, 2.0]))  # ranks 2, 1, 4, 3
    first, second, rest = log(3) / log(4.5) - 0.25, log(1.5) / log(4.5) - 0.25, -0.25
    towards = [second + rest * (-1 + 0.5), 2 * first + rest * (1 - 0.5)]
    wider = [
        second * (1 - 1) + first * (0 - 1) + rest * (1 - 1) + rest * (0.25 - 1),
        second * (0 - 1) + first * (4 - 1) + rest * (1 - 1) + rest * (0.25 - 1),
    ]
    centre = [1 + 0.5 * 0.5 * towards[0], -2 + 0.5 * 0.5 * towards[1]]
    assert search.centre.tolist() == pytest.approx(centre, abs=1e-14)
    std = [0.5 * exp(0.15 * wider[0]), 0.5 * exp(0.15 * wider[1])]
    assert search.std.tolist() == pytest.approx(std, abs=1e-14)
    assert search.generation == 1


def sphere(tried: Tensor) -> Tensor:
    """Fitness with one best place, and some curvature in every direction."""
    target = torch.linspace(-2, 2, tried.shape[1], dtype=tried.dtype)
    scale = torch.linspace(1, 3, tried.shape[1], dtype=tried.dtype)
    return -(scale * (tried - target) ** 2).sum(dim=1)


def run(search: Snes, generations: int) -> Snes:
    for _ in range(generations):
        noise = search.noise(range(search.population))
        search.improve(noise, sphere(search.weights(noise)))
    return search


def test_it_finds_the_best_place() -> None:
    search = run(Snes(torch.zeros(5), std=1.0, population=20), 300)
    assert search.centre.tolist() == pytest.approx([-2, -1, 0, 1, 2], abs=1e-3)
    assert float(search.std.max()) < 0.01


def test_evotorch_finds_the_same_of_the_same_samples(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its `std` rate is unscaled on request only; its centre is that of one step before."""
    core = pytest.importorskip("evotorch.core", reason="EvoTorch is an oracle, and large")
    algorithms = pytest.importorskip("evotorch.algorithms")
    distributions = pytest.importorskip("evotorch.distributions")
    ours = Snes(torch.linspace(3, -1, 12), std=0.7, population=9, centre_rate=0.9, std_rate=0.2)
    noise: Callable[[], Tensor] = lambda: ours.noise(range(9)).double()  # noqa: E731

    def fill(self: Any, out: Tensor, *, generator: Any = None) -> None:
        out[:] = self.mu + self.sigma * noise()

    monkeypatch.setattr(distributions.ExpSeparableGaussian, "_fill", fill)
    problem = core.Problem(
        "max",
        sphere,
        solution_length=12,
        initial_bounds=(-1, 1),
        dtype=torch.float64,
        vectorized=True,
    )
    theirs = algorithms.SNES(
        problem,
        popsize=9,
        center_init=ours.centre,
        stdev_init=0.7,
        center_learning_rate=0.9,
        stdev_learning_rate=0.2,
        scale_learning_rate=False,
    )
    theirs.step()  # fills the first generation and learns nothing of it
    for _ in range(100):
        z = noise()
        ours.improve(z, sphere(ours.centre + ours.std * z))
        theirs.step()
        mu, sigma = (theirs._distribution.parameters[name] for name in ("mu", "sigma"))
        assert float((mu - ours.centre).abs().max()) < 1e-12
        assert float((sigma / ours.std - 1).abs().max()) < 1e-12
    assert float((ours.centre - torch.linspace(3, -1, 12)).abs().max()) > 1  # it went somewhere


def test_the_defaults_are_evotorchs() -> None:
    core = pytest.importorskip("evotorch.core", reason="EvoTorch is an oracle, and large")
    algorithms = pytest.importorskip("evotorch.algorithms")
    problem = core.Problem("max", sphere, solution_length=40, initial_bounds=(-1, 1))
    theirs, ours = algorithms.SNES(problem, stdev_init=1.0), Snes(torch.zeros(40), std=1.0)
    assert ours.population == theirs._popsize
    assert ours.centre_rate == theirs._center_learning_rate
    assert ours.std_rate == pytest.approx(theirs._stdev_learning_rate, rel=1e-12)


# Noise


def test_noise_is_a_function_of_seed_generation_and_individual() -> None:
    search = Snes(torch.zeros(7), std=1.0, population=6, seed=3)
    whole = search.noise(range(6))
    assert (whole.dtype, tuple(whole.shape)) == (torch.float32, (6, 7))
    assert torch.equal(search.noise(range(2, 5)), whole[2:5])
    assert search.noise(range(3, 3)).shape == (0, 7)
    torch.manual_seed(5)
    assert torch.equal(search.noise(range(6)), whole)
    assert len(whole.unique()) == whole.numel()  # no individual is another's copy
    other_seed = Snes(torch.zeros(7), std=1.0, population=6, seed=4).noise(range(6))
    assert not (other_seed == whole).any()
    search.improve(whole, torch.arange(6.0))
    assert not (search.noise(range(6)) == whole).any()


def test_noise_is_standard_normal() -> None:
    drawn = Snes(torch.zeros(4000), std=1.0, population=10).noise(range(10))
    assert float(drawn.mean()) == pytest.approx(0, abs=0.02)
    assert float(drawn.std()) == pytest.approx(1, abs=0.02)
    assert float(drawn.pow(4).mean()) == pytest.approx(3, abs=0.15)


def test_drawing_noise_leaves_the_global_generator_alone() -> None:
    torch.manual_seed(5)
    before = torch.get_rng_state()
    Snes(torch.zeros(3), std=1.0).noise(range(4))
    assert torch.equal(torch.get_rng_state(), before)


class _Told(Processes):
    """A process whose sums with its fellows' parts are written down beforehand."""

    def add(self, mine: Tensor) -> Tensor:
        return mine + self.__dict__["others"].pop(0)


@pytest.mark.parametrize("count", [2, 3, 8])
def test_parts_of_a_population_move_as_the_whole(count: int) -> None:
    """More processes than individuals too: then some have none."""
    whole = Snes(torch.zeros(5), std=1.0, population=6)
    noise = whole.noise(range(6))
    fitness = sphere(whole.weights(noise))
    whole.improve(noise, fitness)
    parts = []
    for rank in range(count):
        sums: list[Tensor] = []
        for add in ("towards", "wider"):
            others = [k for k in range(6) if k not in Processes(rank, count).share(6)]
            z = noise[others].double()
            counts = utilities(fitness)[others]
            sums.append(counts @ (z if add == "towards" else z.square()))
        told = _Told(rank, count)
        told.__dict__["others"] = sums
        part = Snes(torch.zeros(5), std=1.0, population=6)
        part.improve(part.noise(told.share(6)), fitness, told)
        parts.append(part)
    for part in parts:
        torch.testing.assert_close(part.centre, whole.centre, rtol=0, atol=1e-14)
        torch.testing.assert_close(part.std, whole.std, rtol=1e-14, atol=0)


# Resuming


def test_ten_generations_are_five_a_state_and_five_more() -> None:
    whole = run(Snes(torch.zeros(5), std=1.0, seed=2), 10)
    first = run(Snes(torch.zeros(5), std=1.0, seed=2), 5)
    state = first.state_dict()
    run(first, 2)  # what comes later is not in the state
    second = Snes(torch.ones(5), std=0.3, seed=2)
    second.load_state_dict(state)
    run(second, 5)
    assert torch.equal(second.centre, whole.centre)
    assert torch.equal(second.std, whole.std)
    assert second.generation == whole.generation == 10


def test_the_centre_given_is_not_touched() -> None:
    given = torch.zeros(5)
    run(Snes(given, std=1.0), 3)
    assert torch.equal(given, torch.zeros(5))


def test_a_state_of_other_weights_is_refused() -> None:
    state = Snes(torch.zeros(4), std=1.0).state_dict()
    with refused("the state must be of 5 weights, got (4,): resume with the options it was"):
        Snes(torch.zeros(5), std=1.0).load_state_dict(state)
    with refused("the state must be of 4 weights"):
        Snes(torch.zeros(4), std=1.0).load_state_dict({**state, "std": torch.ones(3)})


# Refusals


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"population": 1}, "`population` must be at least 2, got 1: individuals are compared"),
        ({"population": 0}, "`population` must be at least 2, got 0"),
        ({"std": 0.0}, "`std` must be finite and at least 1e-12, got 0.0"),
        ({"std": float("nan")}, "`std` must be finite and at least 1e-12, got nan"),
        ({"centre_rate": -1.0}, "`centre_rate` must be finite and at least 0, got -1.0"),
        ({"std_rate": -0.1}, "`std_rate` must be finite and at least 0, got -0.1"),
        ({"seed": -1}, "`seed` must be a whole number from 0, got -1"),
    ],
)
def test_what_cannot_be_meant_is_refused(options: dict[str, Any], message: str) -> None:
    with refused(message):
        Snes(torch.zeros(3), **{"std": 1.0, **options})


def test_no_weights_are_refused() -> None:
    with refused("`weights` must be a whole number from 1, got 0"):
        Snes(torch.zeros(0), std=1.0)


@pytest.mark.plain
def test_half_an_individual_is_refused() -> None:
    with refused("`population` must be a whole number from 0, got 2.5"):
        check_population(2.5)  # type: ignore[arg-type]
