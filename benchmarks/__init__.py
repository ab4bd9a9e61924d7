"""Benchmarks: how fast a step is, beside other packages and what the hardware allows.

`normdsl bench` measures; docs/speed.md shows. Peers are imported when they are measured.
"""
