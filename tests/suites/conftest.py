"""What is expected to be refused is marked here too, so that `make test` runs torch's suite."""

from suites.marking import pytest_collection_modifyitems  # noqa: F401
