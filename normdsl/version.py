"""The version of normdsl."""

__version__ = "0.1.0"
