"""What the tests of sources share: real files with given bytes."""

from collections.abc import Callable
from pathlib import Path

import pytest

Write = Callable[..., str]


@pytest.fixture(scope="session")
def write(tmp_path_factory: pytest.TempPathFactory) -> Write:
    """Return a function that writes bytes to a file of a name, over one that is there, and returns its path."""
    folder: Path = tmp_path_factory.mktemp("sources")

    def write_file(data: bytes, name: str = "events.jsonl") -> str:
        path = folder / name
        path.write_bytes(data)
        return str(path)

    return write_file
