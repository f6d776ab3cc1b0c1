"""A real store in a directory of its own, for every test that asks for one."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from crmflow.core.model import Moment
from crmflow.store.connection import Store, create_store

NOW = datetime(2026, 3, 1, 8, tzinfo=UTC)


@pytest.fixture
def moment() -> Moment:
    """A fixed time, the same for the user and the clock."""
    return Moment(NOW, NOW)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the store of a test lies."""
    return tmp_path / "crm.db"


@pytest.fixture
def store(path: Path) -> Iterator[Store]:
    """An empty store."""
    with create_store(path) as made:
        yield made
