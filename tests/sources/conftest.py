"""What the tests of sources share: real files with given bytes."""

from collections.abc import Callable

import pytest


@pytest.fixture(scope="session")
def write(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., str]:
    """Return a function that writes bytes to a file of a name, over one that is there, and returns its path."""
    folder = tmp_path_factory.mktemp("sources")

    def write_file(data: bytes, name: str = "events.jsonl") -> str:
        path = folder / name
        path.write_bytes(data)
        return str(path)

    return write_file
