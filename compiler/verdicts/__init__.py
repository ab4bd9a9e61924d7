"""Verdicts: from a rule and a group to proof, witness or neither; runs that settle it."""
