"""What happens to logs on real machines, and that every line of them is read once, or again and said."""

import gzip
import json
import os
import shutil
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import zstandard

if TYPE_CHECKING:
    from tests.reliability.conftest import Programs, World

LOG = "events.jsonl"
Ingest = Callable[..., dict[str, Any]]


def lines(first: int, count: int = 5) -> bytes:
    """Return events of a log, numbered from `first` on."""
    events = (
        {"id": f"e-{number}", "type": "hard_bounced", "time": "2026-03-02T00:00:00Z", "prospect": f"p-{number % 9}"}
        for number in range(first, first + count)
    )
    return b"".join(json.dumps(event).encode() + b"\n" for event in events)


@pytest.fixture
def place(small_world: "World", tmp_path: Path) -> Path:
    """Return a directory with a store."""
    return small_world.copy_to(tmp_path / "store")


@pytest.fixture
def ingest(programs: "Programs", place: Path) -> Ingest:
    """Return what runs `ingest` on some files there, and returns its document with what was `said`."""

    def run(*names: str, status: int = 0) -> dict[str, Any]:
        ran = programs.run(place, "--db", "crm.db", "ingest", "--json", *names)
        assert ran.status == status, ran
        return {**json.loads(ran.stdout or "{}"), "said": ran.stderr}

    return run


def test_a_log_that_grows_by_halves_of_lines(ingest: Ingest, place: Path) -> None:
    """Whatever a writer has finished is read once; the half of a line waits for its other half."""
    data = lines(0, 6)
    total = 0
    for end in range(0, len(data) + 1, 37):
        (place / LOG).write_bytes(data[:end])
        total += ingest(LOG)["lines"]
    (place / LOG).write_bytes(data)
    assert total + ingest(LOG)["lines"] == 6


def test_rotation_by_renaming(ingest: Ingest, place: Path) -> None:
    """The renamed log is known, also compressed, and read to its end; the new one is read from its start."""
    (place / LOG).write_bytes(lines(0))
    assert ingest(LOG)["lines"] == 5
    with (place / LOG).open("ab") as writer:
        (place / LOG).rename(place / f"{LOG}.1")
        writer.write(lines(5, 2))  # the writer has not noticed yet
    (place / LOG).write_bytes(lines(7))
    assert ingest(LOG, f"{LOG}.1")["lines"] == 7
    (place / f"{LOG}.2.gz").write_bytes(gzip.compress((place / f"{LOG}.1").read_bytes()))
    (place / f"{LOG}.1").unlink()
    assert ingest(LOG, f"{LOG}.2.gz")["run"] is None


def test_rotation_by_copying_and_truncating(ingest: Ingest, place: Path) -> None:
    """The copy is known; the truncated log is read from its start, which is said, whatever its length by then."""
    (place / LOG).write_bytes(lines(0))
    ingest(LOG)
    shutil.copy(place / LOG, place / f"{LOG}.1")
    with (place / LOG).open("r+b") as writer:
        writer.truncate()
        assert ingest(LOG, f"{LOG}.1")["run"] is None
        writer.write(lines(10, 9))
    found = ingest(LOG, f"{LOG}.1")
    assert found["lines"] == 9
    assert "rotated or replaced" in found["said"]


def test_another_file_of_the_same_name_and_size(ingest: Ingest, place: Path) -> None:
    """Content decides: not the name, nor the size, nor the time of the last change."""
    (place / LOG).write_bytes(lines(10))
    ingest(LOG)
    before = (place / LOG).stat()
    (place / LOG).write_bytes(lines(20))
    os.utime(place / LOG, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert (place / LOG).stat().st_size == before.st_size
    found = ingest(LOG)
    assert (found["lines"], "rotated or replaced" in found["said"]) == (5, True)


def test_one_file_under_many_paths(ingest: Ingest, place: Path) -> None:
    """By a hard link, a symbolic one or a roundabout path it is the same file: read once, in one run as in several."""
    (place / LOG).write_bytes(lines(0))
    os.link(place / LOG, place / "hard.jsonl")
    (place / "soft.jsonl").symlink_to(LOG)
    found = ingest(LOG, "hard.jsonl", "soft.jsonl", f"./../{place.name}/{LOG}")
    assert (found["lines"], found["said"].count("read once")) == (5, 3)
    for name in ("hard.jsonl", "soft.jsonl"):
        assert ingest(name)["run"] is None


@pytest.mark.parametrize("compress", [gzip.compress, zstandard.compress], ids=["gz", "zst"])
def test_an_archive_of_several_members(ingest: Ingest, place: Path, compress: Callable[[bytes], bytes]) -> None:
    """Members are read one after the other, those that were appended later included, each line once."""
    (place / "log.bin").write_bytes(compress(lines(0)) + compress(b"") + compress(lines(5)))
    assert ingest("log.bin")["lines"] == 10
    with (place / "log.bin").open("ab") as file:
        file.write(compress(lines(10)))
    assert ingest("log.bin")["lines"] == 5


@pytest.mark.parametrize("compress", [gzip.compress, zstandard.compress], ids=["gz", "zst"])
def test_an_archive_that_was_cut_off_and_comes_again_whole(
    ingest: Ingest, place: Path, compress: Callable[[bytes], bytes]
) -> None:
    """What can be read is read, the rest is said and not marked as read: the whole archive brings what was missing."""
    text = b"".join(lines(number, 1) for number in range(3_000))
    whole = compress(text)
    (place / "log.bin").write_bytes(whole[: len(whole) // 2])
    first = ingest("log.bin", status=3 if compress is gzip.compress else 1)
    assert "truncated archive" in first["said"]
    (place / "log.bin").write_bytes(whole)
    assert first.get("lines", 0) + ingest("log.bin")["lines"] == 3_000


@pytest.mark.parametrize("data", [lines(0).replace(b"\n", b"\r\n"), b"\xef\xbb\xbf" + lines(0), b"\n\n" + lines(0)])
def test_marks_and_line_ends_of_other_systems(ingest: Ingest, place: Path, data: bytes) -> None:
    """A byte order mark, carriage returns and blank lines make no difference, and do not count."""
    (place / LOG).write_bytes(data)
    found = ingest(LOG)
    assert (found["lines"], found["considered"]) == (5, 5)


def test_a_pipe_and_an_empty_file(ingest: Ingest, place: Path) -> None:
    """A named pipe is read to its end like a file; a file of 0 bytes is no fault, and no run."""
    (place / "empty.jsonl").touch()
    assert ingest("empty.jsonl")["run"] is None
    os.mkfifo(place / "pipe")
    writer = threading.Thread(target=lambda: (place / "pipe").write_bytes(lines(0)))
    writer.start()
    assert ingest("pipe")["lines"] == 5
    writer.join()


def test_a_line_of_a_hundred_megabytes(ingest: Ingest, place: Path) -> None:
    """It is one reject; the lines before and after it are read."""
    with (place / LOG).open("wb") as file:
        file.write(lines(0, 1))
        file.write(b'{"type": "replied", "x": "' + 100_000_000 * b"y" + b'"}\n')
        file.write(lines(1, 1))
    found = ingest(LOG, status=3)
    assert (found["lines"], found["rejected"], found["considered"]) == (3, 1, 2)


def test_a_name_with_an_escape_and_a_newline(ingest: Ingest, place: Path) -> None:
    """The log is read; what is said shows the characters and does not obey them."""
    name = "a\x1b[31m\nb.jsonl"
    (place / name).write_bytes(lines(0)[:-20])
    found = ingest(name)
    assert found["lines"] == 4
    assert "\x1b" not in found["said"]
    assert r"a\x1b[31m\nb.jsonl" in found["said"]
