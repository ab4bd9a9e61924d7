"""Exploring the design space: grids of designs, checked first, then trained by halving."""
