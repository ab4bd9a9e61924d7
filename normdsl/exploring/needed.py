"""What exploring needs besides normdsl itself, and the error if it is missing."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from normdsl.errors import NormdslError


def needed(name: str) -> Any:
    """Return an installed package.

    Raises:
        NormdslError: if it is not installed.
    """
    try:
        return import_module(name)
    except ImportError as error:
        raise NormdslError(
            "explore designs",
            why=f"{error.name or name} is not installed",
            hint="pip install 'normdsl[explore]'",
        ) from None
