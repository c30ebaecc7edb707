"""Sequences: several classes, one after the other, against loops written from their definition."""

import math

import pytest
import torch
from expect import generator, refused
from torch import Tensor

from glimpse import Eye, GlimpseBatch, GlimpseSensor
from glimpse.agents import Agent, ReinforceConfig, reinforce
from glimpse.canvas import Canvas
from glimpse.digits import load_digits
from glimpse.rewards import gain
from glimpse.scenes import SequenceScene
from glimpse.tasks import Classification, Sequence, Task, describe_task, task_of

CLASSES = ("cat", "dog", "owl", "yak")
# Glimpses T and classes S: a multiple or not.
sizes = pytest.mark.parametrize(
    ("glimpses", "length"), [(2, 2), (6, 2), (6, 3), (7, 2), (5, 3), (8, 3), (9, 5), (5, 5)]
)


def _some(glimpses: int, length: int, rows: int = 20) -> tuple[Sequence, Tensor, Tensor]:
    task = Sequence(CLASSES, length)
    shape = (rows, glimpses, len(CLASSES))
    scores = 3 * torch.randn(shape, generator=generator(), dtype=torch.float64)
    target = torch.randint(len(CLASSES), (rows, length), generator=generator(1))
    for row in range(0, rows, 2):  # half of them are mostly right
        for t in range(glimpses):
            scores[row, t, target[row, t * length // glimpses]] += 9
    return task, task.answers(scores), target


def _classes_of(glimpses: int, length: int) -> list[int]:
    """Return s(t): of T glimpses the first T / S are for the first class, and so on."""
    return [
        next(s for s in range(length) if t * length < (s + 1) * glimpses) for t in range(glimpses)
    ]


def _ends(asked: list[int]) -> dict[int, int]:
    return {s: t for t, s in enumerate(asked)}


@sizes
def test_the_loss_is_a_loop_over_classes(glimpses: int, length: int) -> None:
    task, answers, target = _some(glimpses, length)
    asked = _classes_of(glimpses, length)
    ends = _ends(asked)
    wanted = torch.zeros(len(answers), glimpses, dtype=torch.float64)
    for row in range(len(answers)):
        for t, now in enumerate(asked):
            for s in range(length):
                if s > now:
                    wanted[row, t] += math.log(len(CLASSES))
                else:
                    at = t if s == now else ends[s]
                    wanted[row, t] -= answers[row, at, target[row, s]]
    torch.testing.assert_close(task.loss(answers, target), wanted)


@sizes
def test_right_is_who_was_right_of_every_class_so_far(glimpses: int, length: int) -> None:
    task, answers, target = _some(glimpses, length)
    asked = _classes_of(glimpses, length)
    ends = _ends(asked)
    said = answers.argmax(dim=-1)
    got = task.correct(answers, target)
    for row in range(len(answers)):
        for t, now in enumerate(asked):
            at = [ends[s] for s in range(now)] + [t]
            wanted = all(said[row, i] == target[row, s] for s, i in enumerate(at))
            assert bool(got[row, t]) == wanted, (row, t)
    assert 0 < int(got[:, -1].sum()) < len(got)


@sizes
def test_gains_add_up_to_what_was_learned(glimpses: int, length: int) -> None:
    task, answers, target = _some(glimpses, length)
    total = gain(task, answers, target).sum(dim=1)
    torch.testing.assert_close(total, task.blind - task.loss(answers, target)[:, -1])


@pytest.mark.parametrize(("glimpses", "length"), [(4, 2), (5, 3)])
def test_the_gradient_is_that_of_differences(glimpses: int, length: int) -> None:
    task, answers, target = _some(glimpses, length, rows=3)
    scores = answers.clone().requires_grad_()
    assert torch.autograd.gradcheck(lambda x: task.loss(task.answers(x), target), (scores,))


def test_who_has_seen_nothing_loses_the_same_everywhere() -> None:
    task, answers, target = _some(7, 3)
    assert isinstance(task, Task)
    assert task.scores == 4
    assert task.blind == pytest.approx(3 * math.log(4))
    loss = task.loss(task.answers(torch.zeros_like(answers)), target)
    torch.testing.assert_close(loss, torch.full_like(loss, task.blind))
    assert task.say(answers[0, 0]) == CLASSES[int(answers[0, 0].argmax())]
    torch.testing.assert_close(task.confidence(answers), answers.exp().amax(dim=-1))
    assert task_of(describe_task(task)) == task


@pytest.mark.parametrize("shape", [(5,), (5, 2), (5, 4), (5, 3, 1)])
def test_targets_of_another_shape_are_refused(shape: tuple[int, ...]) -> None:
    with refused(f"`targets` must be (5, 3) of whole numbers, got {shape} of torch.int64: give 3"):
        Sequence(CLASSES, 3).check(torch.zeros(shape, dtype=torch.int64))


def test_targets_that_are_no_classes_are_refused() -> None:
    task = Sequence(CLASSES, 2)
    task.check(torch.tensor([[0, 3], [1, 2]]))
    task.check(torch.zeros(0, 2, dtype=torch.int64))
    with refused("`targets` must be (2, 2) of whole numbers, got (2, 2) of torch.float32"):
        task.check(torch.zeros(2, 2))
    for number in (-1, 4):
        with refused("`targets` must be in [0, 4), got"):
            task.check(torch.tensor([[0, 1], [number, 2]]))


def test_fewer_glimpses_than_classes_are_refused() -> None:
    task, answers, target = _some(3, 3)
    with refused("`glimpses` must be at least 3, one for each answer, got 2: choose more"):
        task.loss(answers[:, :2], target)


def test_a_sequence_of_nothing_is_refused() -> None:
    with refused("`length` must be a whole number from 1, got 0"):
        Sequence(("a", "b"), 0)


def test_a_curriculum_is_refused() -> None:
    batch = GlimpseBatch(
        SequenceScene(load_digits(), Canvas(40, 90)), Eye(sensor=GlimpseSensor(8)), 4
    )
    config = ReinforceConfig(batch=4, hidden=4, features=4, curriculum=4)
    with refused("`curriculum` must be 0 for a sequence, got 4"):
        reinforce(config, batch, Agent.for_batch(config, batch).model)


def test_a_task_of_ones_own_is_not_described_as_what_it_is_made_from() -> None:
    class Own(Classification):
        pass

    assert describe_task(Own(("a", "b"))) == {"name": "Own"}
    for task in (Classification(("a", "b")), Sequence(("a", "b"), 3)):
        assert task_of(describe_task(task)) == task
