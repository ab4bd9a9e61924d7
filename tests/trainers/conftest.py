"""Every trainer runs with every optimizer."""

import pytest

from trainers.rules import MAKERS


@pytest.fixture(params=MAKERS)
def make(request):
    """Return what makes an optimizer of a model."""
    return MAKERS[request.param]
