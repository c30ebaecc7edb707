"""Let sb3-contrib's RecurrentPPO, as it comes, look and answer; the environment judges.

It needs `pip install "glimpse-rl[contrib]"`. Rewards alone teach slowly, and it learns from 9
thousand steps a CPU second where PPO on the belief view (`glimpse.agents.PpoLearner`) does from 32.

python examples/recurrent_ppo.py --steps 300
"""

import argparse
import time
from typing import Any

import gymnasium
from sb3_contrib import RecurrentPPO

import glimpse.envs
from glimpse.agents import SB3VecEnv

gymnasium.register_envs(glimpse.envs)
ROWS, GLIMPSES = 256, 6


def make(rows: int, reward: str, split: str) -> Any:
    """Return an environment that judges: a step answers what was seen and says where to look."""
    options = {"predict": "flat", "reward": reward, "split": split, "autoreset_mode": "SameStep"}
    return gymnasium.make_vec("glimpse/Digits-v0", num_envs=rows, glimpses=GLIMPSES, **options)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=300, help="batches to learn from")
    options = parser.parse_args()

    env = make(ROWS, "gain", "train")
    ppo = RecurrentPPO(
        "MultiInputLstmPolicy",
        SB3VecEnv(env),
        learning_rate=1e-3,
        n_steps=GLIMPSES,  # whole episodes
        batch_size=ROWS * GLIMPSES,
        n_epochs=4,
        gamma=0.5,  # an answer is worth what it earns itself, more than what follows
        policy_kwargs={"log_std_init": -1.5},
        seed=0,
    )
    start, count = time.perf_counter(), options.steps * ROWS * GLIMPSES
    ppo.learn(count)
    print(f"{count / (time.perf_counter() - start):,.0f} steps per second")

    images = env.core.images.splits["test"]
    test, state = make(len(images), "correct", "test"), None
    observation, _ = test.reset(seed=0, options={"indices": images})
    for _ in range(GLIMPSES):
        action, state = ppo.predict(observation, state, deterministic=True)
        observation, reward, _, _, _ = test.step(action)
    print(f"right answers: {reward.mean():.1%} of the test images")


if __name__ == "__main__":
    main()
