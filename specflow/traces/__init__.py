"""Recorded runs of agents: what other programs wrote down, read with care."""
