"""What makes thousands of worlds quick: a store to copy that has their cast, on a disk in memory where there is one."""

import os
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from crmflow.core.model import Moment
from crmflow.operations import edit_record
from crmflow.store import records
from crmflow.store.connection import create_store
from tests.operations.places import Place
from tests.operations.worlds import CAST, NUMBERS, START

MEMORY_DISK = Path("/dev/shm")  # noqa: S108 - only as a parent of directories with names that nobody can guess


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    """A directory of a module's own, in which waiting for the disk costs nothing where the system allows it."""
    parent = MEMORY_DISK if os.access(MEMORY_DISK, os.W_OK) else None
    with TemporaryDirectory(prefix="crmflow-", dir=parent) as made:
        yield Path(made)


@pytest.fixture(scope="module")
def cast(folder: Path) -> Path:
    """The path of a closed store with the cast, whose numbers are their places; worlds are made beside it."""
    path = folder / "cast.db"
    with create_store(path) as store:
        for each in CAST:
            texts = [f"{field}={value}" for field, value in each.fields.items()]
            edit_record.add(store, f"{each.type}:{each.key}", texts, Moment(START, START))
        for (kind, name), number in NUMBERS.items():
            assert records.find(store, kind, [name]) == {name: number}
    return path


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    """A place with a store."""
    with create_store(tmp_path / "crm.db") as store:
        yield Place(tmp_path, store)
