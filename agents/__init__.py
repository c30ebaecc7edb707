"""Agents that learn where to look, and the controls that do not."""

from .agent import Agent, Evaluation, Prediction, Survey
from .controls import CentreConfig, UniformConfig, UntrainedConfig, control
from .registry import AGENTS, load, save
from .reinforce import ReinforceConfig, reinforce
from .training import TrainingConfig

__all__ = [
    "AGENTS",
    "Agent",
    "CentreConfig",
    "Evaluation",
    "Prediction",
    "ReinforceConfig",
    "Survey",
    "TrainingConfig",
    "UniformConfig",
    "UntrainedConfig",
    "control",
    "load",
    "reinforce",
    "save",
]
