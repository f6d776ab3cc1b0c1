"""Mails as they lie on disk: an mbox in runs, large mails by their beginning, a Maildir by its names."""

import io
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crmflow.sources import mailboxes
from crmflow.sources.mailboxes import KEPT_OF_LARGE, MAX_MAIL_BYTES, headers_at, runs_of_mbox, whole_mail
from crmflow.sources.readings import MIB

FROM = b"From ana@acme.example Tue Mar  3 10:00:00 2026\n"
HEADERS = b"From: Ana <ana@acme.example>\nMessage-ID: <a-1@acme.example>\n"

mails = st.lists(
    st.sampled_from([b"From x\n\n", b"\n", b"\n\n", b"\r\n", b"From ", b"Fro", b"a\n", b"> From b\n\n", b"text"]),
    max_size=12,
).map(lambda parts: FROM + HEADERS + b"\n" + b"".join(parts))
"""Mails, some with what may be taken for the beginning of another."""


@given(boxes=st.lists(mails, max_size=8), size=st.integers(1, 200), large=st.integers(1, 300), kept=st.integers(1, 60))
def test_no_byte_of_an_mbox_is_lost(boxes: list[bytes], size: int, large: int, kept: int) -> None:
    """Runs follow one another without a gap, begin where a mail does, and count every newline; large mails, too."""
    data = b"".join(boxes)
    begins = {0, *mailboxes.starts_of_mails(data)}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(mailboxes, "MAX_MAIL_BYTES", large)
        patch.setattr(mailboxes, "KEPT_OF_LARGE", min(kept, large))
        at = 0
        for run in runs_of_mbox(io.BufferedReader(io.BytesIO(data)), size):
            assert at in begins
            length = len(run.data) if run.oversized is None else run.oversized
            whole = data[at : at + length]
            if run.oversized is None:
                assert run.data == whole
            else:
                assert not {begin - at for begin in begins} & set(range(1, length))
                assert run.data.startswith(whole[: min(kept, large)])
                assert run.data.endswith(b"\n\n") or not whole.endswith((b"\n\n", b"\n\r\n"))
            assert run.data.count(b"\n") + run.lines_left_out == whole.count(b"\n")
            at += length
        assert at == len(data)


def test_a_large_mail_is_kept_by_its_beginning() -> None:
    """A mail of 50 MB, alone or in an mbox, costs the memory of what is kept of it and of a few blocks."""
    large = FROM + HEADERS + b"\n" + b"attachment\n" * 5_000_000 + b"\n"
    data = large + FROM + HEADERS + b"\nshort\n\n"
    tracemalloc.start()
    try:
        first, second = runs_of_mbox(io.BufferedReader(io.BytesIO(data)), 2 * MIB)
        alone = whole_mail(io.BufferedReader(io.BytesIO(large)), 2 * MIB)
        assert tracemalloc.get_traced_memory()[1] < 5 * MAX_MAIL_BYTES
    finally:
        tracemalloc.stop()
    assert (first.oversized, second.oversized) == (len(large), None)
    assert first.data == large[:KEPT_OF_LARGE] + b"\n\n"
    assert second.data.endswith(b"short\n\n")
    assert alone is not None
    assert (alone.data, alone.oversized) == (large[:KEPT_OF_LARGE], len(large))
    assert alone.data.count(b"\n") + alone.lines_left_out == large.count(b"\n")


@pytest.mark.parametrize(
    "head",
    [b'{"type": "replied"}\n\n', b"[]\n\n", b"2001:db8::1 - - [x]\n\n", b"", b"#Version: 1.0\n\n", b"Subject: no end"],
)
def test_only_a_mail_has_headers(head: bytes) -> None:
    """What lines of logs begin with is taken for no mail, and neither are headers without an end."""
    assert headers_at(head) is None


@pytest.mark.parametrize("newline", [b"\n", b"\r\n"])
def test_headers_end_at_an_empty_line(newline: bytes) -> None:
    """Two mails that begin with the same line are told apart by the headers behind it."""
    head = HEADERS.replace(b"\n", newline) + newline + b"Hello: there" + newline * 2
    assert headers_at(head) == HEADERS.replace(b"\n", newline) + newline


@pytest.fixture
def maildir(tmp_path: Path) -> Path:
    """Return an empty Maildir."""
    for name in ("cur", "new", "tmp"):
        (tmp_path / "Maildir" / name).mkdir(parents=True)
    return tmp_path / "Maildir"


def test_a_maildir_is_its_mails(maildir: Path) -> None:
    """All mails in `new` and `cur` belong to it, in the order of their names; what is being delivered does not yet."""
    for name in ("new/2.b.host", "cur/1.a.host:2,S", "tmp/3.c.host", "new/.hidden"):
        (maildir / name).write_bytes(HEADERS)
    assert mailboxes.is_maildir(str(maildir))
    assert mailboxes.logs_at(str(maildir)) == [str(maildir / "cur/1.a.host:2,S"), str(maildir / "new/2.b.host")]
    assert mailboxes.logs_at("events.jsonl") == ["events.jsonl"]
    assert not mailboxes.is_maildir(str(maildir / "cur"))


def test_a_mail_that_moved_is_found(maildir: Path) -> None:
    """Who reads a mail gives it flags and moves it: it is still the same; one that is gone is nowhere."""
    old = maildir / "new/1.a.host"
    old.write_bytes(HEADERS)
    assert mailboxes.place_of(str(old)) == str(old)
    old.rename(maildir / "cur/1.a.host:2,RS")
    assert mailboxes.place_of(str(old)) == str(maildir / "cur/1.a.host:2,RS")
    (maildir / "cur/1.a.host:2,RS").unlink()
    assert mailboxes.place_of(str(old)) is None
    assert mailboxes.place_of(str(maildir / "events.jsonl")) is None
