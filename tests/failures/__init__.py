"""Faults, how each is provoked, and what came of it: gradients, checkpoints, texts."""
