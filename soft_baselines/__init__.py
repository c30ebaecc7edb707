"""Differentiable soft attention, the baselines of hard attention."""

from .registry import ATTENTION, Entry, make
from .squeeze_excitation import SqueezeExcitation

__all__ = ["ATTENTION", "Entry", "SqueezeExcitation", "make"]
