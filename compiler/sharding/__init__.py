"""Sharding: where values of a step are when processes hold a parameter, and what crosses."""
