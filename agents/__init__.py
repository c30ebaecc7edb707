"""Agents that learn where to look."""
