"""The losses of REINFORCE with a learned baseline, term by term.

Source: V. Mnih et al., "Recurrent Models of Visual Attention", NeurIPS 2014, section 3.1;
R. Williams, "Simple statistical gradient-following algorithms", Machine Learning 8, 1992.
"""

from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional as F


def returns_to_go(reward_t: Float[Tensor, "B T"], actions: int) -> Float[Tensor, "B A"]:
    """Return what followed each action: G_a = sum of r_t over the glimpses t after it.

    Args:
        reward_t: Rewards of the glimpses t = 0 … T - 1.
        actions: How many actions A there were; action a is chosen before glimpse T - A + a.
    """
    to_go = reward_t.flip(1).cumsum(dim=1).flip(1)  # (B, T)
    return to_go[:, reward_t.shape[1] - actions :]


def leave_one_out(return_a: Float[Tensor, "B A"], copies: int) -> Float[Tensor, "B A"]:
    """Return, as a baseline, the mean return of the other copies of the same image.

    b_m = 1/(M - 1) sum_{k != m} G_k: unbiased, since no copy's own return is in its baseline.

    Args:
        return_a: G_a of every row; M consecutive rows share an image.
        copies: M, at least 2.

    Source: W. Kool, H. van Hoof, M. Welling, "Buy 4 REINFORCE samples, get a baseline for free!",
    ICLR 2019 workshop on deep reinforcement learning meets structured prediction.
    """
    of_image = return_a.view(len(return_a) // copies, copies, return_a.shape[1])
    others = of_image.sum(dim=1, keepdim=True) - of_image
    return (others / (copies - 1)).view_as(return_a)


def policy_loss(
    log_prob_a: Float[Tensor, "B A"],
    return_a: Float[Tensor, "B A"],
    value_a: Float[Tensor, "B A"],
    chosen_a: Bool[Tensor, "B A"],
) -> Float[Tensor, ""]:
    """Return the score-function loss, whose gradient is that of minus the expected return.

    L = -1/B sum_b sum_a w_a log pi(l_a | h_a) (G_a - b_a), with G and b taken as constants.

    Args:
        log_prob_a: Log-probability of the action as it was drawn, before any clipping.
        return_a: G_a, what followed it.
        value_a: b_a, what the baseline expected.
        chosen_a: w_a, whether it counted.
    """
    advantage = ((return_a - value_a) * chosen_a).detach()
    return -(log_prob_a * advantage).sum(dim=1).mean()


def baseline_loss(
    value_a: Float[Tensor, "B A"],
    return_a: Float[Tensor, "B A"],
    chosen_a: Bool[Tensor, "B A"],
) -> Float[Tensor, ""]:
    """Return the mean squared error of the baseline.

    L = sum w_a (b_a - G_a)^2 / sum w_a, G a constant, w_a whether the action counted.
    """
    error = F.mse_loss(value_a, return_a.detach(), reduction="none")
    return (error * chosen_a).sum() / chosen_a.sum()


def answer_loss(loss_t: Float[Tensor, "B T"], early: float) -> Float[Tensor, ""]:
    """Return the last answer's loss plus `early` times the mean of the ones before.

    L = mean_b (loss_T + early * mean_{t<T} loss_t); the paper has early = 0.
    """
    last = loss_t[:, -1].mean()
    if loss_t.shape[1] == 1 or early == 0:
        return last
    return last + early * loss_t[:, :-1].mean()
