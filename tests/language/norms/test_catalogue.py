"""What holds of every norm with a closed form and isometries of its own, class by class."""

import norms_catalogue
import pytest
from norms_catalogue import NORMS
from properties import NORM_PROPERTIES, assert_isometries

from normdsl.norms import Entrywise, Lines, Scaled, Unitary

NAMES = [name for kind in (Entrywise, Unitary, Lines, Scaled) for name in norms_catalogue.of(kind)]


@pytest.mark.parametrize("holds", NORM_PROPERTIES)
@pytest.mark.parametrize("name", NAMES)
def test_is_a_norm_with_its_operators(name, holds):
    holds(NORMS[name])


@pytest.mark.parametrize("name", NAMES)
def test_has_its_isometries(name):
    assert_isometries(NORMS[name])
