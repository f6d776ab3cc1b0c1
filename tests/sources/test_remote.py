"""Objects behind URLs are logs: known by URL, size and entity tag, read in pieces, and read again."""

import gzip
from typing import TYPE_CHECKING

import pytest

from crmflow.core.errors import SourceError
from crmflow.sources.logs import open_log

if TYPE_CHECKING:
    from tests.object_store import ObjectStore

LINES = b"".join(b'{"line": %d}\n' % number for number in range(1000))


def _whole(url: str, **of: int) -> bytes:
    with open_log(url) as log:
        return b"".join(piece.data for piece in log.pieces(of.get("offset", 0), 1, 2000))


def test_an_object_is_read_like_a_file(object_store: "ObjectStore") -> None:
    """In pieces, from any offset on, unpacked on the way, and as often as one likes."""
    plain, packed = object_store.put("plain.jsonl", LINES), object_store.put("packed", gzip.compress(LINES))
    assert _whole(plain) == _whole(packed) == _whole(plain) == LINES
    assert _whole(plain, offset=500) == _whole(packed, offset=500) == LINES[500:]
    with open_log(plain) as log:
        assert (log.path, log.absolute_path, log.total_bytes) == (plain, plain, len(LINES))


def test_an_object_is_known_by_url_size_and_tag(object_store: "ObjectStore") -> None:
    """Its name alone makes it no other one, and what was put in its place is another one."""
    url = object_store.put("known.jsonl", LINES)
    with open_log(url) as log, open_log(url) as again:
        assert log.has_identity
        assert log.first_line == again.first_line == log.fingerprint(7)
        before = log.first_line
    object_store.put("known.jsonl", LINES.replace(b"7", b"8"))
    with open_log(url) as changed, open_log(object_store.put("copy.jsonl", LINES)) as copy:
        assert len({before, changed.first_line, copy.first_line}) == 3


@pytest.mark.parametrize("url", ["s3://logs/not-there", "s3://no-bucket/x", "https://127.0.0.1:1/x", "nosuch://x/y"])
def test_what_can_not_be_read_is_said(object_store: "ObjectStore", url: str) -> None:
    """Whatever the library raises, it is one error that names the URL."""
    assert object_store
    with pytest.raises(SourceError, match=url), open_log(url):
        pass


def test_an_empty_object_has_no_line(object_store: "ObjectStore") -> None:
    """There is nothing to know it by."""
    with open_log(object_store.put("empty.jsonl", b"")) as log:
        assert log.first_line is None
        assert list(log.pieces(0, 1)) == []
