"""Objects behind URLs (`s3://`, `https://`, `gs://`, `abfs://`, ...), read through fsspec where it is installed.

An object is known by URL, size and entity tag: one whose tag or size is another is another object. Where the server
gives no tag, the time of its last change stands for it; where it gives neither, what it sends is a stream.
https://filesystem-spec.readthedocs.io
"""

import hashlib
import re
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any, BinaryIO

from crmflow.core.errors import SourceError

if TYPE_CHECKING:
    from fsspec import AbstractFileSystem

_URL = re.compile(r"[a-z][a-z0-9+.-]+://", re.IGNORECASE)
_TAGS = ("ETag", "etag", "md5Hash", "content_md5", "LastModified", "last_modified", "Last-Modified", "created")
"""Under which names file systems tell what changes with an object's content."""

_INSTALL = "pip install 'crmflow[remote]'"
_BLOCK_SIZE = 4 * 1024 * 1024


class RemoteObject:
    """An object that is open for reading: its `size` in bytes and its `identity`, None where the server tells none."""

    def __init__(self, url: str, file: BinaryIO, size: int | None, tag: str | None) -> None:
        """Take what was opened for a URL."""
        self.url = url
        self.file = file
        self.size = size if file.seekable() else None
        is_known = self.size is not None and tag is not None
        self.identity = hashlib.sha256(f"{url}\n{size}\n{tag}".encode()).hexdigest() if is_known else None

    def read(self, size: int, offset: int | None = None) -> bytes:
        """Return up to `size` bytes at `offset`, without it the next ones; raises `SourceError`."""
        with _explained(self.url):
            if offset is not None and self.file.tell() != offset:
                self.file.seek(offset)
            return self.file.read(size)


def is_url(path: str) -> bool:
    """Tell whether a path is a URL."""
    return _URL.match(path) is not None


@contextmanager
def open_object(url: str) -> Iterator[RemoteObject]:
    """Open an object; raises `SourceError` where it can't be had, or where what reads it is not installed."""
    with ExitStack() as stack:
        with _explained(url):
            system, path = _located(url)
            known = system.info(path)
            file = stack.enter_context(system.open(path, "rb", block_size=_BLOCK_SIZE))
        yield RemoteObject(url, file, known.get("size"), _tag(known))


def _located(url: str) -> tuple["AbstractFileSystem", str]:
    try:
        from fsspec.core import url_to_fs
    except ImportError as error:
        raise SourceError(f"cannot read {url}: fsspec is not installed", hint=_INSTALL) from error
    system, path = url_to_fs(url)
    return system, path


def _tag(known: Mapping[str, Any]) -> str | None:
    return next((str(known[name]) for name in _TAGS if known.get(name)), None)


@contextmanager
def _explained(url: str) -> Iterator[None]:
    """Turn what a file system raises into `SourceError`: each has errors of its own."""
    try:
        yield
    except SourceError:
        raise
    except ImportError as error:
        raise SourceError(f"cannot read {url}: {error}", hint=_INSTALL) from error
    except FileNotFoundError as error:
        raise SourceError(f"cannot read {url}: there is no such object") from error
    except Exception as error:
        raise SourceError(f"cannot read {url}: {error or type(error).__name__}") from error
