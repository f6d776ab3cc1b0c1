"""Workflow files on disk, and what is said about them."""

from collections.abc import Callable
from pathlib import Path

import pytest

from crmflow.core.errors import DefinitionsError
from crmflow.core.model import Definition, Workflow
from crmflow.definitions import load

Write = Callable[..., str]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Return a function that writes one workflow file, of text or bytes, and returns its path."""

    def write_(content: str | bytes, name: str = "flow.yaml") -> str:
        path = tmp_path / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return str(path)

    return write_


@pytest.fixture
def define(write: Write) -> Callable[[str | bytes], Definition]:
    """Return a function that loads one file's content, which must be without fault."""

    def define_(content: str | bytes) -> Definition:
        [definition] = load([write(content)])
        return definition

    return define_


@pytest.fixture
def read(define: Callable[[str | bytes], Definition]) -> Callable[[str | bytes], Workflow]:
    """Return a function that gives the workflow of one file's content."""

    def read_(content: str | bytes) -> Workflow:
        return define(content).workflow

    return read_


@pytest.fixture
def complaints(write: Write) -> Callable[[str | bytes], list[str]]:
    """Return a function that gives the complaints about one file's content, without its path."""

    def complaints_(content: str | bytes) -> list[str]:
        path = write(content)
        with pytest.raises(DefinitionsError) as caught:
            load([path])
        return [str(each).removeprefix(f"{path}:") for each in caught.value.complaints]

    return complaints_
