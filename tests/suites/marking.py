"""A pytest plugin: a test in the table of expected refusals has to fail as the table says."""

import pytest

from suites.expected import expected


def pytest_collection_modifyitems(items):
    for item in items:
        for entry in expected(item.nodeid.partition("::")[2]):
            item.add_marker(
                pytest.mark.xfail(raises=entry.raises, reason=entry.reason, strict=True)
            )
