"""Expressions: what a rule is made of, and what is known of each without running it."""
