import math

import pytest
import torch
from torch import Tensor

from glimpse.tasks import Classification, Task

TASK = Classification(("cat", "dog", "owl"))


def random_scores(episodes: int = 6, glimpses: int = 4) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    scores = torch.randn(episodes, glimpses, 3, generator=generator, dtype=torch.float64)
    return scores, torch.randint(3, (episodes,), generator=generator)


def test_classification_is_a_task_with_one_score_a_class() -> None:
    assert isinstance(TASK, Task)
    assert TASK.scores == 3
    assert TASK.classes == ("cat", "dog", "owl")
    assert Classification(("only",)).scores == 1


def test_what_lacks_a_method_is_no_task() -> None:
    class Silent:
        scores = 3

    assert not isinstance(Silent(), Task)


@pytest.mark.parametrize("shape", [(), (5,), (5, 2)])
def test_log_probs_by_hand(shape: tuple[int, ...]) -> None:
    scores = torch.tensor([7.0, 7.0 + math.log(2), 7.0 + math.log(5)], dtype=torch.float64)
    log_probs = TASK.answers(scores.expand(*shape, 3))
    wanted = torch.tensor([1 / 8, 2 / 8, 5 / 8], dtype=torch.float64)
    torch.testing.assert_close(log_probs.exp(), wanted.expand(*shape, 3))


def test_log_probs_and_loss_of_huge_scores_are_finite() -> None:
    log_probs = TASK.answers(torch.tensor([[[1e4, -1e4, 0.0]]]))
    assert log_probs.tolist() == [[[0, -2e4, -1e4]]]
    assert TASK.loss(log_probs, torch.tensor([1])).tolist() == [[2e4]]


def test_loss_by_hand() -> None:
    one, other = [1 / 8, 2 / 8, 5 / 8], [5 / 8, 1 / 8, 2 / 8]
    probs = torch.tensor([[one, other], [other, other]], dtype=torch.float64)
    loss = TASK.loss(probs.log(), torch.tensor([2, 0]))
    wanted = torch.tensor([[8 / 5, 8 / 2], [8 / 5, 8 / 5]], dtype=torch.float64).log()
    torch.testing.assert_close(loss, wanted)


@pytest.mark.parametrize("time_first", [False, True])
def test_loss_is_the_targets_negative_log_prob_at_every_glimpse(time_first: bool) -> None:
    scores, target = random_scores()
    log_probs = TASK.answers(scores)
    if time_first:  # the same numbers laid out as (T, B, n)
        log_probs = log_probs.transpose(0, 1).contiguous().transpose(0, 1)
    loss = TASK.loss(log_probs, target)
    assert loss.shape == (6, 4)
    assert loss.dtype == log_probs.dtype
    for i, y in enumerate(target.tolist()):
        assert torch.equal(loss[i], -log_probs[i, :, y])


def test_loss_takes_log_probs_as_they_are() -> None:
    """Nothing is normalised a second time: -log p(target) of numbers that are no distribution."""
    log_probs = torch.tensor([[[-1.0, -2.0, -4.0], [0.0, -8.0, -16.0]]])
    assert TASK.loss(log_probs, torch.tensor([2])).tolist() == [[4, 16]]


def test_the_losses_gradient_is_softmax_minus_target() -> None:
    scores, target = random_scores()
    leaf = scores.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(TASK.loss(TASK.answers(leaf), target).sum(), leaf)
    wanted = scores.softmax(dim=-1)
    for i, y in enumerate(target.tolist()):
        wanted[i, :, y] -= 1
    torch.testing.assert_close(gradient, wanted)


def test_correct_by_hand() -> None:
    first, second, third = [3.0, 1.0, 2.0], [1.0, 3.0, 2.0], [-3.0, -2.0, -1.0]
    log_probs = TASK.answers(torch.tensor([[first, second, third], [third, second, first]]))
    correct = TASK.correct(log_probs, torch.tensor([0, 2]))
    assert correct.dtype == torch.bool
    assert correct.tolist() == [[True, False, False], [True, False, False]]
    assert TASK.correct(log_probs, torch.tensor([1, 1])).tolist() == [[False, True, False]] * 2
