"""Invariance checking as type inference: laws, one rule per node, induction over recursions."""
