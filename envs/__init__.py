"""Images, and frozen networks, as Gymnasium environments, registered when this is imported."""

from collections.abc import Mapping
from typing import Any

from gymnasium.envs.registration import register

from .active import ActiveBatch
from .active_form import active_form
from .config import EnvConfig, build_core
from .feedback_config import FeedbackConfig, build_feedback, feedback_on
from .feedback_single import FeedbackEnv
from .feedback_vector import FeedbackVectorEnv
from .single import GlimpseEnv
from .vector import GlimpseVectorEnv
from .vector_wrapper import GlimpseVectorWrapper
from .wrapper import GlimpseWrapper

__all__ = [
    "ENVIRONMENTS",
    "FEEDBACK",
    "ActiveBatch",
    "EnvConfig",
    "FeedbackConfig",
    "FeedbackEnv",
    "FeedbackVectorEnv",
    "GlimpseEnv",
    "GlimpseVectorEnv",
    "GlimpseVectorWrapper",
    "GlimpseWrapper",
    "active_form",
    "build_core",
    "build_feedback",
    "feedback_on",
]

# What each environment shows, and how: the paper's sensor where the paper has the task.
ENVIRONMENTS: Mapping[str, Mapping[str, Any]] = {
    "glimpse/Digits-v0": dict(images="digits", canvas="translated-40"),
    "glimpse/MNIST-v0": dict(images="mnist"),
    "glimpse/TranslatedMNIST-v0": dict(images="mnist", canvas="translated-60", size=12, scales=3),
    "glimpse/ClutteredMNIST-v0": dict(images="mnist", canvas="cluttered-60", size=12, scales=3),
    "glimpse/Images-v0": {},
    "glimpse/Search-v0": dict(
        images="digits", canvas="cluttered-100", task="search", size=12, scales=3, glimpses=12
    ),
    "glimpse/Counting-v0": dict(
        images="digits", canvas="translated-100", task="counting", size=12, scales=3, glimpses=8
    ),
    "glimpse/Sequence-v0": dict(
        images="digits", canvas="translated-100", task="sequence", size=12, scales=3, glimpses=8
    ),
    "glimpse/Slide-v0": dict(
        images="haystack", size=32, scales=5, factor=4, glimpses=12, first="agent", context=32
    ),
}

for _id, _options in ENVIRONMENTS.items():
    register(
        id=_id,
        entry_point="glimpse.envs.single:GlimpseEnv",
        vector_entry_point="glimpse.envs.vector:GlimpseVectorEnv",
        kwargs=dict(_options),
    )

# Whose actions are no locations but gains: of which network, the caller says.
FEEDBACK: Mapping[str, Mapping[str, Any]] = {"glimpse/Feedback-v0": dict(base=None)}

for _id, _options in FEEDBACK.items():
    register(
        id=_id,
        entry_point="glimpse.envs.feedback_single:FeedbackEnv",
        vector_entry_point="glimpse.envs.feedback_vector:FeedbackVectorEnv",
        kwargs=dict(_options),
    )
