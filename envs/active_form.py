"""Our environments in the form of `ap_gym`: what its checks, wrappers and agents take.

Convention:
    A step pays r = b - L, and `info` says both. L is the cross-entropy over ln n of the answer that
    came with the action, about what was seen before it: 1 for an even guess among n classes. The
    base reward b is minus what the look cost. `ap_gym` itself reckons L, so that with
    `first="agent"` the answer about nothing is judged like the others. Where an episode begins, in
    `reset` or in a step that does nothing else, no answer is judged: r, b and L are 0. Of many rows
    a step's `info["_prediction"]` says which had an answer.

Source: `ap_gym` 0.7 (https://github.com/TimSchneider42/active-perception-gym).
"""

from dataclasses import replace
from typing import Any

import gymnasium
from gymnasium.envs.registration import EnvSpec, WrapperSpec
from gymnasium.vector import VectorEnv
from gymnasium.wrappers import OrderEnforcing, PassiveEnvChecker

from glimpse.batch import GlimpseBatch
from glimpse.tasks import Classification

from .active_classes import single_form, vector_form
from .single import GlimpseEnv
from .vector import GlimpseVectorEnv


def active_form(env: gymnasium.Env[Any, Any] | VectorEnv[Any, Any, Any]) -> Any:
    """Return an environment of ours as one of `ap_gym`'s, with the same episodes.

    A `GlimpseEnv` becomes an `ap_gym.ActiveClassificationEnv`, a `GlimpseVectorEnv` an
    `ap_gym.ActiveClassificationVectorEnv`; their attribute `env` is ours. `ap_gym`'s log wrappers
    for vectors leave out the step after an end, as suits `autoreset_mode="NextStep"`, the default.

    Args:
        env: Made with `predict="dict", reward="loss"`. Wrappers go around what comes out.

    Raises:
        ValueError: `ap_gym` is not installed, or the environment is none of ours, already wrapped,
            made with other options, one that stops, or asks for something else than a class.

    Example:
        `active_form(gymnasium.make("glimpse/Digits-v0", predict="dict", reward="loss"))`
    """
    while isinstance(env, OrderEnforcing | PassiveEnvChecker):  # gymnasium.make puts them there
        env = env.env
    if not isinstance(env, GlimpseEnv | GlimpseVectorEnv):
        raise ValueError(
            f"`env` must be a GlimpseEnv or a GlimpseVectorEnv, got a {type(env).__name__}: make "
            "one of glimpse.envs, and wrap what comes out"
        )
    _check(env.core)
    theirs = _ap_gym()
    if isinstance(env, GlimpseVectorEnv):
        return vector_form(theirs.ActiveClassificationVectorEnv)(env)
    form = single_form(theirs.ActiveClassificationEnv)(env)
    form.spec = _spec(env.spec)
    return form


def _ap_gym() -> Any:
    try:
        import ap_gym
    except ImportError:
        raise ValueError(
            "the form of `ap_gym` needs the package, which is not installed: run "
            'pip install "glimpse-rl[ap-gym]"'
        ) from None
    return ap_gym


def _check(core: GlimpseBatch) -> None:
    """Refuse what has no place in `ap_gym`'s form."""
    if not isinstance(core.task, Classification):
        raise ValueError(
            f"the task must be a Classification, got a {type(core.task).__name__}: choose images "
            "that have a class each"
        )
    if core.task.scores < 2:
        raise ValueError(
            "images must be of two classes or more, got one: nobody could lose, and `ap_gym` "
            "measures losses against a guess"
        )
    if core.eye.stop:
        raise ValueError(
            "`stop` must be False, got True: every answer costs its loss, so that who stops at "
            "once would do best"
        )
    wanted = {"predict": "dict", "reward": "loss"}
    for name, given in {"predict": core.predict, "reward": core.reward}.items():
        if given != wanted[name]:
            raise ValueError(
                f"`{name}` must be {wanted[name]!r}, got {given!r}: make the environment with "
                "predict='dict', reward='loss', which is what `ap_gym` pays"
            )


def _spec(spec: EnvSpec | None) -> EnvSpec | None:
    """Return the spec from which `gymnasium.make` makes the form again."""
    if spec is None:
        return None
    form = WrapperSpec("active_form", f"{__name__}:active_form", {})
    return replace(spec, additional_wrappers=(*spec.additional_wrappers, form))
