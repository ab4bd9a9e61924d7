"""Audits of torch optimizers that are not written in normdsl: run them, and report what breaks."""
