"""Logs that can be read more than once: of a pipe or standard input a copy is made, for as long as it is needed."""

import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

from crmflow.core.errors import SourceError
from crmflow.sources.inputs import open_input


class Spools(NamedTuple):
    """What to read in place of what the user named: `names` are the user's names of copies, by the copy's path."""

    paths: list[str]
    names: Mapping[str, str]

    def named(self, text: str) -> str:
        """Return a text with each copy called by the user's name for what it is a copy of."""
        for path, name in self.names.items():
            text = text.replace(path, name)
        return text


@contextmanager
def spooled(paths: Sequence[str]) -> Iterator[Spools]:
    """Make copies of the streams among these logs, the owner's alone, which are gone after the block.

    A log that can't be read stays what it is: whoever reads it will say why.
    """
    with TemporaryDirectory(prefix="crmflow-") as folder:
        names: dict[str, str] = {}
        readable = []
        for number, path in enumerate(paths):
            copy = Path(folder) / str(number)
            if _copied(path, copy):
                names[str(copy)] = path
            readable.append(str(copy) if str(copy) in names else path)
        yield Spools(readable, names)


def _copied(path: str, copy: Path) -> bool:
    """Copy a log if it is a stream, and tell whether it is one."""
    with suppress(SourceError), open_input(path) as opened:
        if opened.size is None:
            descriptor = os.open(copy, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
            with os.fdopen(descriptor, "wb") as file:
                shutil.copyfileobj(opened.source(), file)
            return True
    return False
