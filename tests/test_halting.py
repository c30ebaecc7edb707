"""Stopping when sure, against a plain loop."""

import pytest
import torch
from expect import generator, refused

from glimpse.evaluation import ErrorRate
from glimpse.halting import THRESHOLDS, Halt, halt


def _by_hand(sure: list[list[float]], right: list[list[bool]], threshold: float) -> Halt:
    glimpses = wrong = 0
    for levels, truths in zip(sure, right, strict=True):
        stop = len(levels)
        for number, level in enumerate(levels, start=1):
            if level >= threshold:
                stop = number
                break
        glimpses += stop
        wrong += not truths[stop - 1]
    return Halt(threshold, glimpses / len(sure), ErrorRate(wrong, len(sure)))


@pytest.mark.parametrize(("rows", "glimpses"), [(1, 1), (7, 1), (60, 5), (200, 9)])
def test_it_is_a_plain_loop(rows: int, glimpses: int) -> None:
    sure = torch.rand(rows, glimpses, generator=generator(), dtype=torch.float64)
    right = torch.rand(rows, glimpses, generator=generator(1)) < sure
    thresholds = (0.0, 0.3, *THRESHOLDS, float(sure[0, -1]), float(sure[0, 0]))  # those count, too
    before = sure.clone()
    halts = halt(sure, right, thresholds)
    assert [stopped.threshold for stopped in halts] == list(thresholds)
    for got in halts:
        wanted = _by_hand(sure.tolist(), right.tolist(), got.threshold)
        assert got.error == wanted.error
        assert got.glimpses == pytest.approx(wanted.glimpses, rel=1e-12)
    assert torch.equal(sure, before)


def test_the_usual_thresholds_rise_and_so_do_the_glimpses() -> None:
    sure = torch.rand(50, 6, generator=generator())
    halts = halt(sure, sure > 0.5)
    assert tuple(stopped.threshold for stopped in halts) == THRESHOLDS == tuple(sorted(THRESHOLDS))
    glimpses = [stopped.glimpses for stopped in halts]
    assert glimpses == sorted(glimpses)
    assert glimpses[0] < glimpses[-1]


def test_nobody_is_surer_than_1() -> None:
    right = torch.tensor([[True, False, True], [True, True, False]])
    (never,) = halt(torch.ones(2, 3), right, [1.01])
    assert never == Halt(1.01, 3.0, ErrorRate(1, 2))
    (at_once,) = halt(torch.ones(2, 3), right, [1.0])
    assert at_once == Halt(1.0, 1.0, ErrorRate(0, 2))


@pytest.mark.plain
@pytest.mark.parametrize("shape", [(4, 2), (3, 3), (12,)])
def test_shapes_that_differ_are_refused(shape: tuple[int, ...]) -> None:
    with refused(f"`correct` must be (4, 3), got {shape}: give one truth for each answer"):
        halt(torch.rand(4, 3), torch.ones(shape, dtype=torch.bool))
