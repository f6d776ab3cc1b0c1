"""Opening a log, knowing it again, and cutting it into pieces of whole lines."""

import gzip
import os
import socket
import subprocess
import sys
import threading
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from itertools import pairwise
from pathlib import Path

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from crmflow.core.errors import SourceError, UsageError
from crmflow.sources.logs import KEPT_BYTES, MAX_LINE_BYTES, MOST_LINES, MOST_WHOLE_BYTES, Piece, open_log
from crmflow.sources.readings import MIB

Write = Callable[..., str]

contents = st.lists(st.sampled_from([b"\n", b"\r", b"a", b'{"a":1}', b"\xe2\x80\xa8", b"\0", b"\xff"])).map(b"".join)


def pieces_of(path: str, offset: int = 0, line: int = 1, size: int = 8 * MIB) -> list[Piece]:
    """Return all pieces of a log."""
    with open_log(path) as log:
        return list(log.pieces(offset, line, size))


@contextmanager
def pipe(path: Path, *parts: bytes) -> Iterator[str]:
    """Give a named pipe into which another thread writes, part by part."""
    os.mkfifo(path)

    def feed() -> None:
        with path.open("wb", buffering=0) as end:
            for part in parts:
                end.write(part)

    writer = threading.Thread(target=feed)
    writer.start()
    yield str(path)
    writer.join()


# --- pieces -----------------------------------------------------------------------------------------------------------


@given(content=contents, size=st.integers(1, 40), data=st.data())
def test_pieces_are_the_log_from_any_line_on_in_any_size(
    write: Write, content: bytes, size: int, data: st.DataObject
) -> None:
    """Joined they are its bytes; each begins where the one before ended, and only the last may end within a line."""
    starts = [0, *(at + 1 for at, byte in enumerate(content) if byte == 0x0A)]
    line, offset = data.draw(st.sampled_from(list(enumerate(starts, start=1))))
    pieces = pieces_of(write(content), offset, line, size)
    assert b"".join(piece.data for piece in pieces) == content[offset:]
    for piece in pieces:
        assert (piece.offset, piece.line) == (offset, 1 + content[:offset].count(b"\n"))
        offset = piece.end_offset
    assert [piece.is_last for piece in pieces] == [False] * (len(pieces) - 1) + [True] * bool(pieces)
    assert all(piece.data.endswith(b"\n") for piece in pieces[:-1])


@given(content=contents, size=st.integers(1, 40))
def test_an_archive_gives_the_pieces_of_what_it_holds(write: Write, content: bytes, size: int) -> None:
    """Compressed by gzip or Zstandard, a log reads like the plain one."""
    plain = pieces_of(write(content), size=size)
    assert pieces_of(write(gzip.compress(content), "events.gz"), size=size) == plain
    assert pieces_of(write(zstandard.compress(content), "events.zst"), size=size) == plain


@pytest.mark.parametrize("size", [1, 4096, MIB + 1, 8 * MIB])
@pytest.mark.parametrize("length", [MAX_LINE_BYTES, MAX_LINE_BYTES + 1, 3 * MIB + 17, 12 * MIB])
def test_a_long_line_is_passed_over_to_its_exact_end(write: Write, size: int, length: int) -> None:
    """Whatever the size of a piece, what follows a line of any length has its true offset and number."""
    content = b"before\n" + b"x" * length + b"\nafter\n"
    pieces = pieces_of(write(content), size=size)
    oversized = [piece for piece in pieces if piece.oversized is not None]
    assert all(piece.data == b"x" * KEPT_BYTES + b"\n" for piece in oversized)
    assert all(piece.oversized == length + 1 and piece.line == 2 for piece in oversized)
    assert pieces[-1].end_offset == len(content)
    whole = b"".join(piece.data for piece in pieces)
    assert whole.startswith(b"before\nxxx")
    assert whole.endswith(b"xxx\nafter\n")
    for one, other in pairwise(pieces):
        assert other.offset == one.end_offset
        assert other.line == one.line + one.data.count(b"\n")


def test_a_line_of_a_hundred_megabytes_is_never_held_in_memory(tmp_path: Path) -> None:
    """Its beginning is kept and its length counted; memory stays a small part of it."""
    path = tmp_path / "long.jsonl"
    with path.open("wb") as file:
        file.truncate(100 * MIB)
        file.seek(0, os.SEEK_END)
        file.write(b"\nend\n")
    tracemalloc.start()
    pieces = pieces_of(str(path))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert [(piece.oversized, piece.line) for piece in pieces] == [(100 * MIB + 1, 1), (None, 2)]
    assert peak < 40 * MIB


def test_an_unfinished_long_line_ends_the_log_without_a_newline(write: Write) -> None:
    """So that the next run can read it when it is finished."""
    piece = pieces_of(write(b"x" * 3 * MIB), size=10)[-1]
    assert piece.is_last
    assert not piece.data.endswith(b"\n")
    assert piece.end_offset == 3 * MIB


def test_tiny_lines_come_in_more_and_smaller_pieces(write: Write) -> None:
    """No piece holds more lines than it should, however short they are."""
    pieces = pieces_of(write(b"x\n" * (3 * MOST_LINES) + b"end"))
    assert len(pieces) > 3
    assert all(piece.data.count(b"\n") <= MOST_LINES for piece in pieces)
    assert [piece.is_last for piece in pieces].index(True) == len(pieces) - 1


def test_a_log_that_grows_while_it_is_read_ends_where_it_ended_at_opening(write: Write) -> None:
    """A run is finite, whatever is appended meanwhile."""
    path = write(b"one\ntwo\n")
    with open_log(path) as log:
        with Path(path).open("ab") as file:
            file.write(b"three\n")
        assert b"".join(piece.data for piece in log.pieces(0, 1)) == b"one\ntwo\n"
        assert log.total_bytes == log.bytes_read == 8


# --- archives ---------------------------------------------------------------------------------------------------------

LINES = b"".join(b'{"n": %d, "noise": "%s"}\n' % (number, os.urandom(20).hex().encode()) for number in range(20_000))
SKIPPABLE = b"\x50\x2a\x4d\x18\x04\0\0\0abcd"


@pytest.mark.parametrize("compress", [gzip.compress, zstandard.compress])
def test_several_members_and_trailing_zeros_are_normal(write: Write, compress: Callable[[bytes], bytes]) -> None:
    """Archives that were appended to, or padded, are read to their end without a fault."""
    path = write(compress(LINES) + compress(b"") + compress(b"more\n") + b"\0" * 1000)
    with open_log(path) as log:
        assert b"".join(piece.data for piece in log.pieces(0, 1)) == LINES + b"more\n"
        assert log.fault is None


def test_frames_of_every_make_are_read(write: Write) -> None:
    """Skippable frames, checksums, unknown sizes and repeated bytes are all Zstandard."""
    make = zstandard.ZstdCompressor(write_checksum=True, write_content_size=False).compressobj()
    content = LINES + b"\n" * 500_000
    frame = make.compress(content) + make.flush()
    with open_log(write(SKIPPABLE + frame + SKIPPABLE)) as log:
        assert b"".join(piece.data for piece in log.pieces(0, 1)) == content
        assert log.fault is None


@pytest.mark.parametrize("compress", [gzip.compress, zstandard.compress])
@pytest.mark.parametrize("kept", [0.9999, 0.7, 0.2])
def test_a_truncated_archive_gives_its_whole_lines_and_says_so(
    write: Write, compress: Callable[[bytes], bytes], kept: float
) -> None:
    """The line in which it breaks off is not delivered."""
    packed = compress(LINES)
    with open_log(write(packed[: int(len(packed) * kept)])) as log:
        pieces = list(log.pieces(0, 1, 1000))
        assert log.fault == "truncated archive"
    found = b"".join(piece.data for piece in pieces)
    assert LINES.startswith(found)
    assert len(found) > len(LINES) * kept * 0.5
    assert found.endswith(b"\n")
    assert pieces[-1].is_last


@given(cut=st.integers(4, 2000), is_gzip=st.booleans())
def test_an_archive_cut_anywhere_ends_in_a_fault_and_never_within_a_line(
    write: Write,
    cut: int,
    is_gzip: bool,  # noqa: FBT001 - Hypothesis passes it by name
) -> None:
    """Wherever the copying stopped."""
    content = LINES[:2000]
    packed = gzip.compress(content, mtime=0) if is_gzip else zstandard.compress(content)
    with open_log(write(packed[: min(cut, len(packed) - 1)])) as log:
        found = b"".join(piece.data for piece in log.pieces(0, 1))
        assert log.fault == "truncated archive"
    assert content.startswith(found)
    assert found in (b"", found.rpartition(b"\n")[0] + b"\n")


@pytest.mark.parametrize("compress", [gzip.compress, zstandard.compress])
def test_garbage_behind_an_archive_is_a_fault(write: Write, compress: Callable[[bytes], bytes]) -> None:
    """What was packed is delivered all the same."""
    with open_log(write(compress(LINES) + b"garbage")) as log:
        assert b"".join(piece.data for piece in log.pieces(0, 1)) == LINES
        assert log.fault == "corrupt archive: garbage after its end"


def test_damage_within_an_archive_is_a_fault(write: Write) -> None:
    """The checksums of both formats are compared; what lies before is delivered to the last byte."""
    packed = bytearray(gzip.compress(LINES))
    packed[-6] ^= 0xFF
    checked = bytearray(zstandard.ZstdCompressor(write_checksum=True).compress(LINES))
    checked[-2] ^= 0xFF
    for damaged in (packed, checked):
        with open_log(write(bytes(damaged))) as log:
            assert b"".join(piece.data for piece in log.pieces(0, 1)) == LINES
            assert str(log.fault).startswith("corrupt archive: ")


@pytest.mark.parametrize("compress", [gzip.compress, zstandard.compress])
@given(at=st.integers(0, 10_000), byte=st.integers(0, 255))
def test_arbitrary_damage_never_becomes_another_exception(
    write: Write, compress: Callable[[bytes], bytes], at: int, byte: int
) -> None:
    """An archive with any byte changed gives lines, and a fault or none; or can't be opened as a log."""
    packed = bytearray(compress(LINES[:20_000]))
    packed[at % len(packed)] = byte
    with suppress(SourceError):
        pieces_of(write(bytes(packed)))


@pytest.mark.parametrize("compress", [gzip.compress, zstandard.compress])
def test_a_bomb_is_stopped_in_small_memory(write: Write, compress: Callable[[bytes], bytes]) -> None:
    """Beyond 10 MB an archive may not unpack to more than 200 times its size; what was read before stays."""
    path = write(compress(b"a line of the log\n" + b"\n" * 100_000_000))
    tracemalloc.start()
    with open_log(path) as log:
        size = sum(len(piece.data) for piece in log.pieces(0, 1))
        assert log.fault == "archive that unpacks to more than 200 times its size"
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert 9_000_000 < size < 40_000_000
    assert peak < 60 * MIB


def test_what_a_file_is_packed_with_shows_in_its_bytes_not_in_its_name(write: Write) -> None:
    """A plain `.gz` and a packed `.jsonl` are read as what they are."""
    assert pieces_of(write(b"plain\n", "a.gz"))[0].data == b"plain\n"
    assert pieces_of(write(gzip.compress(b"packed\n"), "a.jsonl"))[0].data == b"packed\n"


# --- identity ---------------------------------------------------------------------------------------------------------


def prints(path: str, lengths: list[int]) -> list[str | None]:
    """Return the fingerprints of a log at these lengths, asked of one open log in this order."""
    with open_log(path) as log:
        return [log.fingerprint(length) for length in lengths]


def test_a_log_is_known_again_when_it_has_grown_or_was_renamed_or_packed(write: Write) -> None:
    """The first line and the fingerprint of a beginning depend on nothing but the content."""
    path = write(LINES)
    lengths = [0, 1, 1000, len(LINES)]
    known = prints(path, lengths)
    assert None not in known
    assert len(set(known)) == len(lengths)
    packed = [write(gzip.compress(LINES), "events.jsonl.1.gz"), write(zstandard.compress(LINES), "events.zst")]
    for other in (write(LINES + b"more\n", "renamed.jsonl"), *packed):
        assert prints(other, lengths) == known
        with open_log(path) as one, open_log(other) as two:
            assert one.first_line == two.first_line is not None


def test_a_log_is_not_known_when_it_is_shorter_or_another(write: Write) -> None:
    """A truncated log has no fingerprint for the old length, one with another history a different one."""
    known = prints(write(LINES), [len(LINES)])
    assert prints(write(LINES[:-1]), [len(LINES)]) == [None]
    assert prints(write(gzip.compress(LINES[:-1])), [len(LINES)]) == [None]
    assert prints(write(LINES[:5000] + b"#" + LINES[5001:]), [len(LINES)]) != known


@pytest.fixture(scope="module")
def long_content() -> bytes:
    """Return forty megabytes in which every block differs, behind a line that is no other format's mark."""
    return b"a line\n" + os.urandom(40 * MIB)


def test_the_fingerprint_of_a_long_log_is_the_same_however_it_is_asked_for(write: Write, long_content: bytes) -> None:
    """Growing lengths, falling lengths, plain or packed: one digest for one beginning."""
    lengths = [MIB, 15 * MIB + 5, 16 * MIB, 17 * MIB - 1, 17 * MIB, 25 * MIB + 9, 25 * MIB + 10, len(long_content)]
    path = write(long_content)
    known = prints(path, lengths)
    assert len({*known, None}) == len(lengths) + 1
    assert [prints(path, [length])[0] for length in lengths] == known
    assert prints(path, lengths[::-1]) == known[::-1]
    assert prints(write(zstandard.compress(long_content), "long.zst"), lengths) == known
    assert prints(path, [len(long_content) + 1, len(long_content)]) == [None, known[-1]]


@pytest.mark.parametrize("at", [0, 10 * MIB, 16 * MIB, -2, -MIB])
def test_the_fingerprint_of_a_long_log_sees_its_beginning_and_its_end(
    write: Write, long_content: bytes, at: int
) -> None:
    """The first 16 MiB and the last one are in it whole, and a part of every eighth between."""
    changed = bytearray(long_content)
    changed[at] ^= 1
    length = len(long_content)
    assert prints(write(bytes(changed)), [length]) != prints(write(long_content, "other.jsonl"), [length])


def test_fingerprints_may_be_asked_for_between_pieces(write: Write) -> None:
    """Neither disturbs the other, nor what is said of a fault."""
    packed = gzip.compress(LINES)
    with open_log(write(packed[:-4])) as log:
        found = b""
        for piece in log.pieces(0, 1, 50_000):
            found += piece.data
            assert log.fingerprint(piece.end_offset) == prints(write(LINES, "plain"), [len(found)])[0]
        assert found == LINES
        assert log.fault == "truncated archive"


def test_the_first_line_is_looked_at_without_its_newline(write: Write) -> None:
    """A log of one unfinished line keeps its digest when the line is finished; an empty log has none."""
    firsts = []
    for content in (b"one", b"one\n", b"one\ntwo\n", b"\n", b""):
        with open_log(write(content)) as log:
            firsts.append(log.first_line)
    assert firsts[0] == firsts[1] == firsts[2] != firsts[3]
    assert firsts[4] is None


def test_the_same_file_has_one_id_whatever_it_is_called(write: Write, tmp_path: Path) -> None:
    """A symbolic link leads to the same device and inode."""
    path = write(b"one\n")
    link = tmp_path / "link"
    link.symlink_to(path)
    with open_log(path) as one, open_log(str(link)) as other:
        assert one.file_id == other.file_id is not None
        assert (one.path, other.path) == (path, str(link))
        assert Path(other.absolute_path).is_absolute()


# --- opening ----------------------------------------------------------------------------------------------------------


def test_a_pipe_is_streamed_without_identity(tmp_path: Path) -> None:
    """It has no size, no first line and no fingerprints, and may deliver byte by byte."""
    packed = gzip.compress(b"one\ntwo")
    with pipe(tmp_path / "pipe", *(bytes((byte,)) for byte in packed)) as path, open_log(path) as log:
        assert not log.has_identity
        assert (log.file_id, log.first_line, log.total_bytes, log.fingerprint(0)) == (None, None, None, None)
        assert [(piece.data, piece.is_last) for piece in log.pieces(0, 1)] == [(b"one\ntwo", True)]
        assert log.bytes_read == len(packed)


def test_standard_input_is_a_stream() -> None:
    """`-` reads it, also where a file is behind it."""
    script = (
        "from crmflow.sources.logs import open_log\n"
        "with open_log('-') as log:\n"
        "    print(log.path, log.absolute_path, log.has_identity, *(piece.data for piece in log.pieces(0, 1)))\n"
    )
    done = subprocess.run([sys.executable, "-c", script], input=b"one\ntwo\n", capture_output=True, check=True)
    assert done.stdout == b"- - False b'one\\ntwo\\n'\n"


def test_a_closed_standard_input_is_an_error_with_a_hint() -> None:
    """As cron jobs may have it."""
    script = "from crmflow.sources.logs import open_log\nwith open_log('-'): pass\n"
    command = f'exec "{sys.executable}" -c "$0" <&-'
    done = subprocess.run(["/bin/sh", "-c", command, script], capture_output=True, check=False)
    assert b"SourceError: standard input is closed" in done.stderr


def test_a_directory_is_wrong_usage(tmp_path: Path) -> None:
    """The hint says how to name the files in it."""
    with pytest.raises(UsageError, match="is a directory") as caught, open_log(str(tmp_path)):
        pass
    assert caught.value.hint == f"name the files in it, for example {tmp_path}/*.jsonl"
    with pytest.raises(UsageError, match="names no file"), open_log(""):
        pass


def test_what_is_no_readable_file_is_an_error_that_names_it(tmp_path: Path) -> None:
    """A device, a socket, and what is not there."""
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "socket"))
        for path, reason in [
            ("/dev/zero", "/dev/zero is a device"),
            (f"{tmp_path}/socket", f"cannot read {tmp_path}/socket: No such device or address"),
            (f"{tmp_path}/none", f"cannot read {tmp_path}/none: No such file or directory"),
            (f"{tmp_path}/socket/x", f"cannot read {tmp_path}/socket/x: Not a directory"),
        ]:
            with pytest.raises(SourceError) as caught, open_log(path):
                pass
            assert caught.value.what == reason


@pytest.mark.parametrize(
    "content", ["{}\n".encode("utf-16"), "\ufeff{}\n".encode("utf-16-be"), "{}\n".encode("utf-16-le")]
)
def test_utf_16_is_refused_with_the_way_to_convert_it(write: Write, content: bytes) -> None:
    """With a mark or without, plain or packed."""
    for packed in (content, gzip.compress(content)):
        with pytest.raises(SourceError, match="UTF-16") as caught, open_log(write(packed)):
            pass
        assert "iconv" in (caught.value.hint or "")


def test_a_log_may_be_read_as_a_whole(write: Write) -> None:
    """All from a place on is one piece, without one where there is nothing; so it is for an archive."""
    for path in (write(b"[\n1]"), write(gzip.compress(b"[\n1]"), "events.json.gz")):
        with open_log(path) as log:
            assert list(log.cut("whole", 0, 1)) == [Piece(b"[\n1]", 0, 1, is_last=True)]
            assert list(log.cut("whole", 2, 2)) == [Piece(b"1]", 2, 2, is_last=True)]
            assert list(log.cut("whole", 4, 2)) == []


def test_a_log_that_is_too_long_to_be_read_as_a_whole_is_refused(tmp_path: Path) -> None:
    """With the way to convert it, and before it fills the memory."""
    path = tmp_path / "events.json"
    with path.open("wb") as file:
        file.truncate(MOST_WHOLE_BYTES + 1)
    with open_log(str(path)) as log, pytest.raises(SourceError, match="more than 32 MiB") as caught:
        list(log.whole(0, 1))
    assert "jq -c '.[]'" in (caught.value.hint or "")


def test_an_array_on_the_first_line_alone_does_not_stop_the_log(write: Write) -> None:
    """It is one bad line among others."""
    assert pieces_of(write(b'[1, 2]\n{"type": "replied"}\n'))


def test_a_file_name_may_hold_anything(write: Write) -> None:
    """A newline and an escape in it are only characters."""
    assert pieces_of(write(b"one\n", "a\nb\x1b[31m"))
