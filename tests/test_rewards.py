import math

import pytest
import torch
from torch import Tensor

from glimpse.rewards import REWARDS, Reward, correct_at_end, gain, negative_loss
from glimpse.tasks import Classification, Task


def random_predictions(episodes: int, glimpses: int, classes: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    scores = torch.randn(episodes, glimpses, classes, generator=generator, dtype=torch.float64)
    target = torch.randint(classes, (episodes,), generator=generator)
    return scores.log_softmax(dim=-1), target


def classes(count: int) -> Task:
    return Classification(tuple(str(number) for number in range(count)))


def test_the_table_names_the_rewards() -> None:
    assert REWARDS["correct"] is correct_at_end
    assert REWARDS["gain"] is gain
    assert REWARDS["loss"] is negative_loss


def test_correct_at_end_by_hand() -> None:
    right, wrong = [0.1, 0.7, 0.2], [0.1, 0.2, 0.7]
    probabilities = torch.tensor([[right, wrong], [wrong, right], [right, right], [wrong, wrong]])
    target = torch.tensor([1, 1, 1, 1])
    wanted = [[0, 0], [0, 1], [0, 1], [0, 0]]
    assert correct_at_end(classes(3), probabilities.log(), target).tolist() == wanted
    assert correct_at_end(classes(3), probabilities.log(), target + 1).tolist() == [
        [0, 1],
        [0, 0],
        [0, 0],
        [0, 1],
    ]


def test_gain_by_hand() -> None:
    """Four classes: the guess before the first glimpse is 1/4."""
    probabilities = torch.tensor(
        [
            [[0.5, 0.25, 0.125, 0.125], [0.125, 0.75, 0.0625, 0.0625], [0.25, 0.25, 0.25, 0.25]],
            [[0.1, 0.1, 0.1, 0.7], [0.2, 0.2, 0.2, 0.4], [0.1, 0.1, 0.0, 0.8]],
        ],
        dtype=torch.float64,
    )
    reward = gain(classes(4), probabilities.log(), torch.tensor([0, 3]))
    wanted = [[2, 1 / 4, 2], [2.8, 4 / 7, 2]]
    torch.testing.assert_close(reward, torch.tensor(wanted, dtype=torch.float64).log())


def test_gains_add_up_to_the_last_log_prob_plus_ln_n() -> None:
    log_probs, target = random_predictions(episodes=20, glimpses=6, classes=5)
    last = torch.stack([log_probs[i, -1, y] for i, y in enumerate(target.tolist())])
    torch.testing.assert_close(gain(classes(5), log_probs, target).sum(dim=1), last + math.log(5))


def test_gains_of_an_unmoved_uniform_guess_are_zero() -> None:
    log_probs = torch.full((3, 4, 7), -math.log(7), dtype=torch.float64)
    assert gain(classes(7), log_probs, torch.tensor([0, 3, 6])).abs().max() < 1e-15


def test_negative_loss_is_the_cross_entropy_over_ln_n() -> None:
    log_probs, target = random_predictions(episodes=9, glimpses=4, classes=5)
    wanted = [
        [float(log_probs[i, t, y]) / math.log(5) for t in range(4)]
        for i, y in enumerate(target.tolist())
    ]
    reward = negative_loss(classes(5), log_probs, target)
    torch.testing.assert_close(reward, torch.tensor(wanted, dtype=torch.float64))


@pytest.mark.parametrize("reward", REWARDS.values(), ids=REWARDS.keys())
def test_rewards_are_causal(reward: Reward) -> None:
    log_probs, target = random_predictions(episodes=30, glimpses=5, classes=3)
    before = reward(classes(3), log_probs, target)
    for t in range(4):
        changed = log_probs.clone()
        changed[:, t + 1 :] = changed[:, t + 1 :].flip(-1).roll(1, dims=0)
        after = reward(classes(3), changed, target)
        assert torch.equal(after[:, : t + 1], before[:, : t + 1])
        assert not torch.equal(after, before)


@pytest.mark.parametrize("reward", REWARDS.values(), ids=REWARDS.keys())
def test_episodes_do_not_mix(reward: Reward) -> None:
    log_probs, target = random_predictions(episodes=8, glimpses=3, classes=4)
    alone = [reward(classes(4), log_probs[i : i + 1], target[i : i + 1]) for i in range(8)]
    assert torch.equal(reward(classes(4), log_probs, target), torch.cat(alone))


@pytest.mark.parametrize("reward", REWARDS.values(), ids=REWARDS.keys())
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_one_reward_a_glimpse_in_the_predictions_dtype(reward: Reward, dtype: torch.dtype) -> None:
    log_probs, target = random_predictions(episodes=7, glimpses=1, classes=2)
    log_probs = log_probs.to(dtype)
    kept = log_probs.clone(), target.clone()
    rewards = reward(classes(2), log_probs, target)
    assert rewards.shape == (7, 1)
    assert rewards.dtype == dtype
    assert torch.equal(log_probs, kept[0])
    assert torch.equal(target, kept[1])
