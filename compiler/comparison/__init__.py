"""Comparison: the methods of the paper side by side, computed from their declarations."""
