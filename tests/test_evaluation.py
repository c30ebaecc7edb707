"""Error rates and their intervals, against SciPy."""

import pytest
import torch
from scipy.stats import binomtest

from glimpse.evaluation import ErrorRate, error_rates

COUNTS = [(0, 1), (1, 1), (0, 10), (10, 10), (1, 2), (3, 10), (143, 10_000), (9_999, 10_000)]


@pytest.mark.parametrize("confidence", [0.5, 0.9, 0.95, 0.999])
@pytest.mark.parametrize(("wrong", "count"), COUNTS)
def test_the_interval_is_wilsons(wrong: int, count: int, confidence: float) -> None:
    wanted = binomtest(wrong, count).proportion_ci(confidence, method="wilson")
    got = ErrorRate(wrong, count).interval(confidence)
    assert got == pytest.approx((100 * wanted.low, 100 * wanted.high), rel=1e-9, abs=1e-9)


def test_95_percent_is_the_default() -> None:
    rate = ErrorRate(7, 200)
    assert rate.interval() == rate.interval(0.95)


@pytest.mark.parametrize("count", [1, 7, 333, 10_000])
def test_the_interval_ends_at_none_and_at_all(count: int) -> None:
    low, high = ErrorRate(0, count).interval()
    assert low == 0
    assert 0 < high < 100
    low, high = ErrorRate(count, count).interval()
    assert 0 < low < 100
    assert high == 100


@pytest.mark.parametrize(("wrong", "count"), COUNTS)
def test_the_interval_holds_the_error_and_mirrors(wrong: int, count: int) -> None:
    rate, other = ErrorRate(wrong, count), ErrorRate(count - wrong, count)
    low, high = rate.interval()
    assert 0 <= low <= rate.percent <= high <= 100
    assert other.interval() == pytest.approx((100 - high, 100 - low), abs=1e-9)


def test_percent_and_text() -> None:
    rate = ErrorRate(3, 200)
    assert rate.percent == 1.5
    wanted = binomtest(3, 200).proportion_ci(0.95, method="wilson")
    assert str(rate) == f"1.50 % [{100 * wanted.low:.2f}, {100 * wanted.high:.2f}]"
    assert str(rate) == "1.50 % [0.51, 4.32]"


def test_one_rate_after_each_glimpse() -> None:
    correct = torch.tensor([[True, True, False], [False, True, False], [False, False, False]])
    assert error_rates(correct) == (ErrorRate(2, 3), ErrorRate(1, 3), ErrorRate(3, 3))
    for rate in error_rates(correct):
        assert type(rate.wrong) is int
