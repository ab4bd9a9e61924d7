"""Sharded: parameters of which several processes have a part each, and who computes what."""
