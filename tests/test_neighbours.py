"""Wrappers and libraries of others on our environments."""

from pathlib import Path

import gymnasium
import numpy as np
import pytest
from gymnasium.wrappers.vector import RecordEpisodeStatistics

import glimpse.envs  # noqa: F401


def test_episode_statistics_add_up_the_rewards() -> None:
    vector = gymnasium.make_vec(
        "glimpse/Digits-v0", num_envs=5, predict="flat", reward="gain", glimpses=3
    )
    env = RecordEpisodeStatistics(vector)
    env.reset(seed=0)
    total = np.zeros(5)
    for _ in range(3):
        _, rewards, over, _, info = env.step(env.action_space.sample())
        total += rewards
    assert over.all()
    np.testing.assert_allclose(info["episode"]["r"], total, atol=1e-6)
    assert info["episode"]["l"].tolist() == [3] * 5


def test_torchrl_takes_the_vector_environment() -> None:
    torchrl = pytest.importorskip("torchrl.envs")
    vector = gymnasium.make_vec("glimpse/Digits-v0", num_envs=4, autoreset_mode="Disabled")
    env = torchrl.GymWrapper(vector)
    rollout = env.rollout(5, break_when_any_done=False)
    assert rollout["glimpse"].shape[:2] == (4, 5)


def test_videos_are_recorded(tmp_path: Path) -> None:
    pytest.importorskip("moviepy")
    from gymnasium.wrappers.vector import RecordVideo

    vector = gymnasium.make_vec("glimpse/Digits-v0", num_envs=4, render_mode="rgb_array")
    env = RecordVideo(vector, str(tmp_path / "new"), episode_trigger=lambda number: number == 0)
    env.reset(seed=0)
    for _ in range(8):
        env.step(env.action_space.sample())
    env.close()
    assert list(tmp_path.glob("new/*.mp4"))
