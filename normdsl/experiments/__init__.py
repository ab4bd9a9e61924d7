"""Experiments: every method on small problems, tuned alike, and what came of it."""
