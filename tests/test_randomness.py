import math

import numpy as np
import pytest
import torch
from torch import Tensor

from glimpse.randomness import derive_seed, keys_of, own_randomness, seed_globally, uniform

CPU = torch.device("cpu")

# Plain Python integers, from S. Vigna's public-domain splitmix64.c:
#     uint64_t z = (x += 0x9e3779b97f4a7c15);
#     z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
#     z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
#     return z ^ (z >> 31);
GOLDEN, FIRST, SECOND = 0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB
WORD = 2**64 - 1


def finalise(z: int) -> int:
    z = ((z ^ (z >> 30)) * FIRST) & WORD
    z = ((z ^ (z >> 27)) * SECOND) & WORD
    return z ^ (z >> 31)


def splitmix64(state: int, count: int) -> list[int]:
    return [finalise((state + GOLDEN * n) & WORD) for n in range(1, count + 1)]


def signed(word: int) -> int:
    return word - 2**64 if word >= 2**63 else word


def key_drawing(word: int) -> int:
    """Return the key whose first draw is `word`: the finaliser run backwards."""

    def undo(z: int, bits: int) -> int:
        found = z
        for _ in range(64 // bits):
            found = z ^ (found >> bits)
        return found

    z = undo(word, 31) * pow(SECOND, -1, 2**64) & WORD
    z = undo(z, 27) * pow(FIRST, -1, 2**64) & WORD
    return signed((undo(z, 30) - GOLDEN) & WORD)


def correlation(a: Tensor, b: Tensor) -> float:
    return float(torch.corrcoef(torch.stack([a.flatten(), b.flatten()]))[0, 1])


def assert_uniform(numbers: Tensor) -> None:
    """Hold numbers to a uniform's histogram (chi-square of 64 bins) and moments, within 4 sigma."""
    numbers = numbers.flatten()
    count, bins = len(numbers), 64
    seen = torch.bincount((numbers * bins).long(), minlength=bins).double()
    assert len(seen) == bins
    chi_square = float(((seen - count / bins) ** 2 / (count / bins)).sum())
    assert abs(chi_square - (bins - 1)) < 4 * math.sqrt(2 * (bins - 1))
    assert abs(float(numbers.mean()) - 1 / 2) < 4 * math.sqrt(1 / 12 / count)
    assert abs(float(numbers.var()) - 1 / 12) < 4 * math.sqrt(1 / 180 / count)


SEEDS = [0, 1, 2, 1234567, 2**62 + 3, 2**63 - 1, -1, -(2**63)]


def test_the_reference_draws_the_published_numbers() -> None:
    """The first numbers of splitmix64.c for the seed 1234567."""
    assert splitmix64(1234567, 3) == [
        6457827717110365317,
        3203168211198807973,
        9817491932198370423,
    ]


def test_uniform_is_splitmix64() -> None:
    numbers = uniform(torch.tensor(SEEDS), 5)
    assert numbers.dtype == torch.float64
    assert numbers.tolist() == [
        [word / 2**53 for word in (draw >> 11 for draw in splitmix64(seed & WORD, 5))]
        for seed in SEEDS
    ]


@pytest.mark.parametrize("stream", [0, 1, 7, 2**40])
def test_keys_are_splitmix64_of_the_hashed_seed(stream: int) -> None:
    wanted = [
        signed(finalise((finalise(seed & WORD) + GOLDEN * (stream + 1)) & WORD)) for seed in SEEDS
    ]
    assert keys_of(torch.tensor(SEEDS), stream).tolist() == wanted


def test_a_stream_a_row_equals_one_stream_at_a_time() -> None:
    seeds, streams = torch.tensor(SEEDS), torch.arange(len(SEEDS)) * 3
    together = keys_of(seeds, streams)
    alone = [int(keys_of(seeds[i : i + 1], 3 * i)) for i in range(len(SEEDS))]
    assert together.tolist() == alone


def test_the_ends_of_the_interval() -> None:
    """0 is drawn, 1 never is: the largest number is one step of 2**-53 below."""
    keys = torch.tensor([key_drawing(0), key_drawing(WORD), key_drawing(2**63)])
    assert uniform(keys, 1).flatten().tolist() == [0.0, 1 - 2**-53, 0.5]


def test_the_same_again_and_arguments_are_left_alone() -> None:
    seeds = torch.tensor(SEEDS)
    keys = keys_of(seeds, 3)
    numbers = uniform(keys, 4)
    assert seeds.tolist() == SEEDS
    assert torch.equal(keys, keys_of(torch.tensor(SEEDS), 3))
    assert torch.equal(numbers, uniform(keys, 4))


def test_a_row_does_not_depend_on_its_batch_mates() -> None:
    keys = keys_of(torch.arange(50), 1)
    together = uniform(keys, 6)
    alone = torch.cat([uniform(keys_of(torch.tensor([seed]), 1), 6) for seed in range(50)])
    assert torch.equal(together, alone)
    order = torch.randperm(50, generator=torch.Generator().manual_seed(0))
    assert torch.equal(uniform(keys[order], 6), together[order])


def test_a_number_does_not_depend_on_how_many_are_drawn() -> None:
    keys = keys_of(torch.arange(20), 0)
    assert torch.equal(uniform(keys, 3), uniform(keys, 9)[:, :3])


def test_nothing_asked_nothing_drawn() -> None:
    assert uniform(torch.arange(3), 0).shape == (3, 0)
    assert uniform(torch.arange(0), 4).shape == (0, 4)


def test_numbers_of_one_key_are_uniform() -> None:
    assert_uniform(uniform(torch.tensor([42]), 60_000))


def test_first_numbers_of_neighbouring_seeds_are_uniform() -> None:
    assert_uniform(uniform(keys_of(torch.arange(60_000), 0), 1))


def test_first_numbers_of_neighbouring_streams_are_uniform() -> None:
    seeds = torch.zeros(60_000, dtype=torch.int64)
    assert_uniform(uniform(keys_of(seeds, torch.arange(60_000)), 1))


def test_low_bits_are_uniform_too() -> None:
    assert_uniform(uniform(torch.tensor([7]), 60_000) * 2**20 % 1)


def test_distinct_streams_seeds_and_positions_are_uncorrelated() -> None:
    seeds, count = torch.arange(20_000), 3
    limit = 4 / math.sqrt(20_000 * (count - 1))
    first, second = (uniform(keys_of(seeds, stream), count) for stream in (0, 1))
    assert abs(correlation(first, second)) < limit
    assert abs(correlation(first[1:], first[:-1])) < limit
    assert abs(correlation(first[:, 1:], first[:, :-1])) < limit
    assert abs(correlation(first[:, 1:], second[:, :-1])) < limit
    assert abs(correlation(first[1:, :], second[:-1, :])) < limit
    nested = uniform(keys_of(keys_of(seeds, 0), 1), count)
    assert abs(correlation(nested, second)) < limit
    assert abs(correlation(nested, first)) < limit


def test_keys_of_many_seeds_and_streams_are_all_different() -> None:
    keys = torch.cat([keys_of(torch.arange(-5_000, 5_000), stream) for stream in range(8)])
    assert len(keys.unique()) == 80_000
    assert len(uniform(keys, 1).unique()) == 80_000


def test_derived_seeds_fit_any_generator() -> None:
    seeds = [derive_seed(run, iteration) for run in range(40) for iteration in range(40)]
    assert all(0 <= seed < 2**62 for seed in seeds)
    assert max(seeds) > 2**61
    assert len(set(seeds)) == 1_600


def test_derived_seeds_are_functions_of_the_ordered_numbers() -> None:
    assert derive_seed(3, 1, 4) == derive_seed(3, 1, 4)
    assert derive_seed(3, 1, 4) != derive_seed(3, 4, 1)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ((5,), (5, 0)),
        ((5, 0), (5, 0, 0)),
        ((2**32,), (0, 1)),
        ((2**32 + 5, 3), (5, 1, 3)),
        ((2**32 + 5, 3), (5, 1 + 3 * 2**32)),
        ((1, 2), (12,)),
    ],
)
def test_a_derived_seed_is_unlike_any_other_combinations(
    one: tuple[int, ...], other: tuple[int, ...]
) -> None:
    """What the docstring promises; numpy pads with zeros and splits numbers above 32 bits."""
    assert derive_seed(*one) != derive_seed(*other)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")
def test_cuda_draws_the_same_numbers() -> None:
    seeds = torch.tensor(SEEDS)
    on_cuda = uniform(keys_of(seeds.cuda(), 2), 100)
    assert on_cuda.is_cuda
    assert torch.equal(on_cuda.cpu(), uniform(keys_of(seeds, 2), 100))


# The global generators of other libraries


def _draw() -> tuple[list[float], list[float], float]:
    """Return what comes next; of normal numbers NumPy draws two at once and keeps the second."""
    numbers = np.random.rand(3).tolist()  # noqa: NPY002
    return torch.rand(3).tolist(), numbers, np.random.standard_normal()  # noqa: NPY002


def test_what_is_drawn_within_is_not_drawn_outside() -> None:
    """Both generators go on afterwards as if nothing had been drawn or seeded in between."""
    seed_globally(5, CPU)
    wanted = [_draw(), _draw()]
    seed_globally(5, CPU)
    found = [_draw()]
    with own_randomness(CPU):
        within = _draw()
        seed_globally(9, CPU)
        _draw()
    found.append(_draw())
    assert found == wanted
    assert within == wanted[1]  # it begins where they were


def test_they_are_put_back_after_an_error_too() -> None:
    seed_globally(5, CPU)
    wanted = _draw()
    seed_globally(5, CPU)

    @own_randomness(CPU)
    def fail() -> None:
        seed_globally(1, CPU)
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        fail()
    assert _draw() == wanted


def test_one_may_be_within_another() -> None:
    seed_globally(5, CPU)
    wanted = _draw()
    seed_globally(5, CPU)
    with own_randomness(CPU):
        seed_globally(6, CPU)
        first = _draw()
        seed_globally(6, CPU)
        with own_randomness(CPU):
            seed_globally(7, CPU)
            _draw()
        assert _draw() == first
    assert _draw() == wanted


def test_a_global_seed_is_that_of_both_libraries() -> None:
    with own_randomness(CPU):
        seed_globally(42, CPU)
        found = _draw()
    own, numpys = torch.Generator().manual_seed(42), np.random.RandomState(42)
    numbers = numpys.rand(3).tolist()
    assert found == (torch.rand(3, generator=own).tolist(), numbers, numpys.standard_normal())


@pytest.mark.parametrize("seed", [0, 2**32 - 1, 2**32, 2**62 - 1, derive_seed(3, 1)])
def test_any_derived_seed_will_do(seed: int) -> None:
    """NumPy's global generator takes 32 bits only."""
    with own_randomness(CPU):
        seed_globally(seed, CPU)
        first = _draw()
        seed_globally(seed, CPU)
        assert _draw() == first
        seed_globally(seed ^ 1, CPU)
        assert all(one != other for one, other in zip(_draw(), first, strict=True))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")
def test_cuda_s_generator_is_put_back_too() -> None:
    device = torch.device("cuda")
    torch.cuda.manual_seed(5)
    wanted = torch.rand(3, device=device).tolist()
    torch.cuda.manual_seed(5)
    with own_randomness(device):
        seed_globally(1, CPU)
        torch.rand(3, device=device)
    assert torch.rand(3, device=device).tolist() == wanted
