"""What both vector environments do with an engine: begin episodes, end them, and begin anew."""

from collections.abc import Callable
from typing import Any

import numpy as np
from gymnasium.vector import AutoresetMode
from numpy.typing import NDArray

from glimpse.batch import GlimpseBatch, Step
from glimpse.checks import check_name
from glimpse.feedback import FeedbackBatch

from .spaces import to_numpy

Array = NDArray[Any]
Observation = dict[str, Any]  # arrays by name


class Autoreset:
    """Which rows of an engine are over, and what follows the end of their episodes.

    Args:
        core: The engine.
        mode: One of Gymnasium's, or its name.

    Attributes:
        mode: Gymnasium's.

    Raises:
        ValueError: There is no such mode.
    """

    def __init__(self, core: GlimpseBatch | FeedbackBatch, mode: str | AutoresetMode) -> None:
        modes = {known.value: known for known in AutoresetMode}
        name = mode.value if isinstance(mode, AutoresetMode) else mode
        check_name("autoreset_mode", name, modes)
        self.mode, self._core, self._rows = modes[name], core, core.rows
        self._over = np.zeros(core.rows, dtype=np.bool_)

    def reset(
        self, seed: int | list[int] | None, options: dict[str, Any] | None
    ) -> tuple[Observation, dict[str, Any]]:
        """Begin episodes, in all rows or in those of `options["reset_mask"]`."""
        mask = (options or {}).get("reset_mask")
        observation, info = self._core.reset(seed=seed, options=options)
        self._over[slice(None) if mask is None else np.asarray(mask, dtype=np.bool_)] = False
        return to_numpy(observation), self._told(info)

    def check(self) -> None:
        """Refuse a step of episodes that the caller should have reset.

        Raises:
            ValueError: Autoreset is disabled, and an episode that is over was not reset.
        """
        if self.mode is AutoresetMode.DISABLED and self._over.any():
            raise ValueError(
                f"episodes must be reset when they are over, got row {int(self._over.argmax())}: "
                'call reset(options={"reset_mask": terminations})'
            )

    def step(
        self, step: Callable[[], Step], check: Callable[[], None]
    ) -> tuple[Observation, Array, Array, Array, dict[str, Any]]:
        """Take a step, and begin anew where the mode says so.

        Args:
            step: Takes the engine's.
            check: Refuses its actions, where no row takes it.
        """
        if self._over.all():  # all only wait for their reset: no look is needed before it
            check()
            observation, raw = self._core.reset()
            self._over, terminations, truncations = np.zeros((3, self._rows), dtype=np.bool_)
            nothing = np.zeros(self._rows)
            return to_numpy(observation), nothing, terminations, truncations, self._told(raw)
        observation, reward, over, truncated, raw = step()
        ended = (
            over.numpy(force=True) & ~self._over
        )  # rows that were over only wait for their reset
        begin, final = self._over, {}
        if self.mode is AutoresetMode.SAME_STEP:
            begin = ended
            final = self._final(observation, raw, ended)
        if begin.any():
            observation, fresh = self._core.reset(options={"reset_mask": begin})
            raw = {**raw, **fresh}
        self._over = ended & ~begin
        rewards = reward.numpy(force=True).astype(np.float64)
        info = {**self._told(raw, answered=~begin), **final}
        return to_numpy(observation), rewards, ended, truncated.numpy(force=True), info

    def _told(
        self,
        info: dict[str, Any],
        rows: NDArray[np.bool_] | None = None,
        answered: NDArray[np.bool_] | None = None,
    ) -> dict[str, Any]:
        """Return what is known, with Gymnasium's masks that say of which rows.

        Args:
            info: What the engine says.
            rows: Those that it is about; None: all.
            answered: Those of them whose answer was judged; None: all.
        """
        known = np.ones(self._rows, dtype=np.bool_) if rows is None else rows
        judged = known if answered is None else known & answered
        arrays = to_numpy(info)
        told: dict[str, Any] = {"target": arrays["target"], "_target": known.copy()}
        if "loss" in arrays:  # in `ap_gym`'s words
            told["prediction"] = {name: arrays[name] for name in ("target", "loss")}
            told |= {"_prediction": judged.copy(), "base_reward": 0 - arrays["cost"]}
            told["_base_reward"] = judged.copy()
        return told

    def _final(
        self, observation: dict[str, Any], info: dict[str, Any], ended: NDArray[np.bool_]
    ) -> dict[str, Any]:
        """Return what Gymnasium keeps of the episodes that ended in this step."""
        if not ended.any():
            return {}
        last = to_numpy(observation)
        observations = np.full(self._rows, None, dtype=object)
        for row in np.flatnonzero(ended):
            observations[row] = {name: batch[row] for name, batch in last.items()}
        return {
            "final_obs": observations,
            "_final_obs": ended.copy(),
            "final_info": self._told(info, ended),
            "_final_info": ended.copy(),
        }
