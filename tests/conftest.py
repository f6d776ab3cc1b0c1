"""How Hypothesis searches in every test, a busy machine being no fault of the program; and a server of objects."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, settings

if TYPE_CHECKING:
    from tests.object_store import ObjectStore

settings.register_profile("crmflow", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("crmflow")


@pytest.fixture(scope="session")
def object_store() -> "Iterator[ObjectStore]":
    """Objects behind URLs, that every process of the tests can read."""
    from tests.object_store import served  # a second, which few tests need

    with served() as store:
        yield store
