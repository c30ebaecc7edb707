"""What answers are worth, by hand: three rows, three glimpses, two classes."""

import math

import pytest
import torch
from torch import Tensor

from glimpse.judge import Judge
from glimpse.tasks import Classification

CPU = torch.device("cpu")
TARGET = torch.tensor([0, 1, 1])
EVERYBODY = torch.ones(3, dtype=torch.bool)


def _said(*right: float) -> Tensor:
    """Return log-probabilities that give class 1 such probabilities."""
    ones = torch.tensor(right)
    return torch.stack([1 - ones, ones], dim=1).log()


def _judge(reward: str = "gain") -> Judge:
    return Judge(Classification(("a", "b")), reward, 3, 3, CPU)


def test_the_reward_is_that_of_the_glimpse_answered() -> None:
    judge, over = _judge(), torch.zeros(3, dtype=torch.bool)
    judge.keep(_said(0.5, 0.6, 0.9), torch.tensor([1, 1, 1]), EVERYBODY)
    first = judge.reward(TARGET, torch.tensor([1, 1, 1]), over)
    wanted = [0.0, math.log(0.6 / 0.5), math.log(0.9 / 0.5)]
    torch.testing.assert_close(first, torch.tensor(wanted), atol=1e-6, rtol=0)
    judge.keep(_said(0.25, 0.9, 0.3), torch.tensor([2, 2, 2]), EVERYBODY)
    second = judge.reward(TARGET, torch.tensor([2, 2, 2]), over)
    wanted = [math.log(0.75 / 0.5), math.log(0.9 / 0.6), math.log(0.3 / 0.9)]
    torch.testing.assert_close(second, torch.tensor(wanted), atol=1e-6, rtol=0)


def test_who_stops_gets_what_the_glimpses_left_would_earn_with_the_same_answer() -> None:
    judge, over = _judge("loss"), torch.tensor([True, False, True])
    judge.keep(_said(0.5, 0.5, 0.8), torch.tensor([1, 1, 2]), EVERYBODY)
    earned = judge.reward(TARGET, torch.tensor([1, 1, 2]), over)
    wanted = [-3.0, -1.0, 2 * math.log(0.8) / math.log(2)]
    torch.testing.assert_close(earned, torch.tensor(wanted), atol=1e-6, rtol=0)


def test_answers_of_those_who_are_done_are_not_kept() -> None:
    judge = _judge()
    judge.keep(_said(0.1, 0.1, 0.1), torch.tensor([1, 1, 1]), EVERYBODY)
    judge.keep(_said(0.9, 0.9, 0.9), torch.tensor([2, 2, 2]), torch.tensor([True, False, True]))
    loss = judge.loss(TARGET, torch.tensor([2, 2, 2])) * math.log(2)
    wanted = [-math.log(0.1), -math.log(0.1), -math.log(0.9)]
    torch.testing.assert_close(loss, torch.tensor(wanted), atol=1e-6, rtol=0)


@pytest.mark.parametrize("reward", ["correct", "gain", "loss"])
def test_who_has_seen_nothing_earns_nothing_and_has_the_loss_of_the_blind(reward: str) -> None:
    judge, none = _judge(reward), torch.zeros(3, dtype=torch.int64)
    judge.keep(_said(0.9, 0.9, 0.9), none, EVERYBODY)
    assert not judge.reward(TARGET, none, EVERYBODY).any()
    assert judge.loss(TARGET, none).tolist() == [1, 1, 1]
