"""Batches: what matrices step from together, and what an emitted program makes of them."""
