"""Expressions: what a rule is made of, and what is known of each without running it."""

from normdsl.expressions import algebra as algebra
