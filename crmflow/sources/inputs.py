"""Opening what the user named: a file, an object behind a URL, a pipe or standard input, no directory and no device.

Everything is read through `Source`, a raw reader that fills what it is asked for, so that a pipe that delivers byte by
byte reads like a file. A regular file ends where it ended when it was opened: a run is finite though the log grows.
"""

import io
import os
import stat
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from crmflow.core.errors import SourceError, UsageError
from crmflow.sources.remote import RemoteObject, is_url, open_object

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

STANDARD_INPUT = "-"
BUFFER_SIZE = 64 * 1024
BOM = b"\xef\xbb\xbf"
UTF16_BOMS = (b"\xff\xfe", b"\xfe\xff")


class Source(io.RawIOBase):
    """Bytes in order; `position` says how far reading has come, in bytes from the start of what is read."""

    position = 0
    _is_ended = False

    def readable(self) -> bool:
        """Return True: that is what a source is for."""
        return True

    def readinto(self, buffer: "WriteableBuffer", /) -> int:
        """Fill the buffer and return how many bytes it got: fewer than it holds only at the end."""
        view = memoryview(buffer).cast("B")
        filled = 0
        while filled < len(view) and not self._is_ended:
            data = self.more(len(view) - filled)
            self._is_ended = not data
            view[filled : filled + len(data)] = data
            filled += len(data)
            self.position += len(data)
        return filled

    def more(self, size: int) -> bytes:
        """Return between one and `size` of the next bytes, none at the end."""
        raise NotImplementedError


class Input:
    """Something opened for reading: what can be read again, of `size` bytes at opening, or a stream (None).

    A regular file has a `file_id` (device and inode). An object behind a URL has an `identity` that changes with its
    content.
    """

    def __init__(self, path: str, *, size: int | None = None, file_id: tuple[int, int] | None = None) -> None:
        """Take the path as the user gave it, and what is known of what was opened for it."""
        self.path = path
        self.size = size
        self.file_id = file_id
        self.identity: str | None = None

    def source(self, end: int | None = None) -> Source:
        """Return the bytes from the start on, up to `end` if it is given; those of a stream are there only once."""
        if self.size is None:
            return _Stream(self)
        return _Span(self, self.size if end is None else min(self.size, end))

    def present_source(self) -> Source:
        """Return the bytes of a regular file up to the end that it has now, having grown since it was opened."""
        return _Span(self, sys.maxsize)

    def read(self, size: int, offset: int | None = None) -> bytes:
        """Return up to `size` bytes at `offset`, without it the next ones; raises `SourceError`."""
        raise NotImplementedError


class _File(Input):
    """A regular file, a pipe or standard input."""

    def __init__(self, path: str, file: BinaryIO, status: os.stat_result | None) -> None:
        is_file = status is not None and stat.S_ISREG(status.st_mode)
        size = status.st_size if status and is_file else None
        super().__init__(path, size=size, file_id=(status.st_dev, status.st_ino) if status and is_file else None)
        self._file = file

    def read(self, size: int, offset: int | None = None) -> bytes:
        try:
            return self._file.read(size) if offset is None else os.pread(self._file.fileno(), size, offset)
        except OSError as error:
            raise _unreadable(self.path, error) from error


class _Object(Input):
    """An object behind a URL."""

    def __init__(self, opened: RemoteObject) -> None:
        super().__init__(opened.url, size=None if opened.identity is None else opened.size)
        self.identity = opened.identity
        self._object = opened

    def read(self, size: int, offset: int | None = None) -> bytes:
        return self._object.read(size, offset)


class _Span(Source):
    """What can be read again up to a place in it, or to its end where that comes first."""

    def __init__(self, opened: Input, end: int) -> None:
        self._input = opened
        self._end = end

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        self.position = {io.SEEK_SET: 0, io.SEEK_CUR: self.position, io.SEEK_END: self._end}[whence] + offset
        self._is_ended = False
        return self.position

    def more(self, size: int) -> bytes:
        return self._input.read(max(0, min(size, self._end - self.position)), self.position)


class _Stream(Source):
    """What can be read only once."""

    def __init__(self, opened: Input) -> None:
        self._input = opened

    def more(self, size: int) -> bytes:
        return self._input.read(size)


@contextmanager
def open_input(path: str) -> Iterator[Input]:
    """Open a file, an object behind a URL, a pipe or, for `-`, standard input.

    Raises `UsageError` for a directory, and `SourceError` for what is a device, does not exist, can't be read, or has a
    name that is not UTF-8.
    """
    if path == STANDARD_INPUT:
        yield _File(path, _standard_input(), None)
        return
    try:
        path.encode()
    except UnicodeEncodeError as error:
        raise SourceError(f"the name of a file is not UTF-8: {os.fsencode(path)!r}", hint="rename it") from error
    if is_url(path):
        with open_object(path) as found:
            yield _Object(found)
        return
    with ExitStack() as stack:
        try:
            _refuse_what_is_no_file(path)
            file = stack.enter_context(Path(path).open("rb", buffering=0))
            opened = _File(path, file, os.fstat(file.fileno()))
        except OSError as error:
            raise _unreadable(path, error) from error
        yield opened


def _standard_input() -> BinaryIO:
    if sys.stdin is None:
        raise SourceError("standard input is closed", hint="name a file, or pipe something into crmflow")
    return sys.stdin.buffer


def _refuse_what_is_no_file(path: str) -> None:
    if not path:
        raise UsageError("an empty path names no file", hint="is a variable of your script unset?")
    mode = Path(path).stat().st_mode
    if stat.S_ISDIR(mode):
        raise UsageError(f"{path} is a directory", hint=f"name the files in it, for example {path.rstrip('/')}/*.jsonl")
    if stat.S_ISCHR(mode) or stat.S_ISBLK(mode):
        raise SourceError(f"{path} is a device", hint="name a file, or pipe it in and name -")


def _unreadable(path: str, error: OSError) -> SourceError:
    name = "standard input" if path == STANDARD_INPUT else path
    return SourceError(f"cannot read {name}: {error.strerror or error}")
