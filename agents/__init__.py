"""Agents that learn where to look, and the controls that do not."""

from .agent import Agent, Evaluation, Prediction, Survey
from .belief import BeliefView
from .controls import CentreConfig, UniformConfig, UntrainedConfig, control
from .es import EsConfig
from .es_learner import EsLearner
from .perceiver import Episodes, Perceiver
from .ppo import PpoConfig
from .ppo_learner import PpoLearner
from .registry import AGENTS, load, save
from .reinforce import ReinforceConfig, reinforce
from .sb3_env import SB3VecEnv
from .training import TrainingConfig

__all__ = [
    "AGENTS",
    "Agent",
    "BeliefView",
    "CentreConfig",
    "Episodes",
    "EsConfig",
    "EsLearner",
    "Evaluation",
    "Perceiver",
    "PpoConfig",
    "PpoLearner",
    "Prediction",
    "ReinforceConfig",
    "SB3VecEnv",
    "Survey",
    "TrainingConfig",
    "UniformConfig",
    "UntrainedConfig",
    "control",
    "load",
    "reinforce",
    "save",
]
