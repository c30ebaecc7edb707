"""Agents that learn where to look, and the controls that do not."""

from .agent import Agent, Evaluation, Prediction, Survey
from .base import BaseConfig, BaseLearner
from .belief import BeliefView
from .controls import CentreConfig, UniformConfig, UntrainedConfig, control
from .dasnet import Dasnet, DasnetConfig, FeedbackPrediction, load_dasnet
from .dasnet_learner import DasnetLearner
from .es import EsConfig
from .es_learner import EsLearner
from .gain_policy import POLICIES, look_again, mean_one
from .perceiver import Episodes, Perceiver
from .portions import portion
from .ppo import PpoConfig
from .ppo_learner import PpoLearner
from .registry import AGENTS, load, save
from .reinforce import ReinforceConfig, reinforce
from .sb3_env import SB3VecEnv
from .snes import Snes, utilities
from .training import TrainingConfig

__all__ = [
    "AGENTS",
    "POLICIES",
    "Agent",
    "BaseConfig",
    "BaseLearner",
    "BeliefView",
    "CentreConfig",
    "Dasnet",
    "DasnetConfig",
    "DasnetLearner",
    "Episodes",
    "EsConfig",
    "EsLearner",
    "Evaluation",
    "FeedbackPrediction",
    "Perceiver",
    "PpoConfig",
    "PpoLearner",
    "Prediction",
    "ReinforceConfig",
    "SB3VecEnv",
    "Snes",
    "Survey",
    "TrainingConfig",
    "UniformConfig",
    "UntrainedConfig",
    "control",
    "load",
    "load_dasnet",
    "look_again",
    "mean_one",
    "portion",
    "reinforce",
    "save",
    "utilities",
]
