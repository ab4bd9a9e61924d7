"""Eject: a rule as one file of plain torch, which needs nothing of normdsl."""
