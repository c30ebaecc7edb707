"""Differentiable soft attention, the baselines of hard attention. In work."""
