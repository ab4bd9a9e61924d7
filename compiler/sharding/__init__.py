"""Sharding: where each value of a step lives when several processes hold a parameter, and what crosses."""
