"""Mails as they lie on disk: one behind the other in an mbox, each in a file of its own in a Maildir.

Of a mail that is too large only the beginning is kept: what a mail is stands in its headers, and in the first parts of
reports. https://www.rfc-editor.org/rfc/rfc4155 https://cr.yp.to/proto/maildir.html
"""

import io
import os
import re
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from crmflow.core.errors import SourceError
from crmflow.sources.readings import MIB

MAX_MAIL_BYTES = 8 * MIB
"""A mail that is longer is too large."""
KEPT_OF_LARGE = MIB

_NEXT = re.compile(rb"\n\r?\n(?=From )")
"""What ends a mail that another one follows."""
_LONGEST_END = len(b"\n\r\nFrom ")
_FINISHED = (b"\n\n", b"\n\r\n")

_HEADERS = re.compile(rb"[A-Za-z][!-9;-~]*:[ \t].*?\n\r?\n", re.DOTALL)
"""A mail's headers with the line behind them. No line of a log begins like them."""

_FOLDERS = ("new", "cur")


class Run(NamedTuple):
    """Whole mails; of a large one its beginning, its true length and how many newlines were left out."""

    data: bytes
    oversized: int | None = None
    lines_left_out: int = 0


def runs_of_mbox(reader: io.BufferedReader, size: int) -> Iterator[Run]:
    """Yield an mbox in runs of about `size` bytes, a large mail by itself; only the last may be unfinished.

    The beginning of a large mail is followed by an empty line if the mail is finished.
    """
    held = b""
    while block := reader.read(size):
        held += block
        end = max(starts_of_mails(held), default=0)
        if end:
            yield Run(held[:end])
            held = held[end:]
        elif len(held) > MAX_MAIL_BYTES:
            run, held = _large(reader, held, size)
            yield run
    if held:
        yield Run(held)


def starts_of_mails(data: bytes) -> list[int]:
    """Return where all mails in a part of an mbox begin, but for the first."""
    return [found.end() for found in _NEXT.finditer(data)]


def _large(reader: io.BufferedReader, held: bytes, size: int) -> tuple[Run, bytes]:
    """Read to the end of the mail that begins with `held`; return it, and what was read of the mails behind it."""
    length, newlines, tail = len(held), held.count(b"\n"), held[-_LONGEST_END:]
    rest = b""
    is_finished = False
    while not is_finished and (block := reader.read(size)):
        window = tail + block
        found = _NEXT.search(window)
        end = found.end() if found else len(window)
        length += end - len(tail)
        newlines += window.count(b"\n", 0, end) - tail.count(b"\n")
        is_finished, rest, tail = found is not None, window[end:], window[:end][-_LONGEST_END:]
    return _beginning(held, length, newlines, b"\n\n" if tail.endswith(_FINISHED) else b""), rest


def whole_mail(reader: io.BufferedReader, size: int) -> Run | None:
    """Return the one mail that a file is, None for an empty file."""
    held = reader.read(MAX_MAIL_BYTES + 1)
    if len(held) <= MAX_MAIL_BYTES:
        return Run(held) if held else None
    length, newlines = len(held), held.count(b"\n")
    while block := reader.read(size):
        length += len(block)
        newlines += block.count(b"\n")
    return _beginning(held, length, newlines, b"")


def _beginning(held: bytes, length: int, newlines: int, ending: bytes) -> Run:
    kept = held[:KEPT_OF_LARGE] + ending
    return Run(kept, length, newlines - kept.count(b"\n"))


def headers_at(head: bytes) -> bytes | None:
    """Return the headers that a file begins with if it is one mail, all that is there where they go on; else None.

    Mails from one sender often begin with the same line, but no two have the same headers.
    """
    found = _HEADERS.match(head)
    return found[0] if found else None


def is_maildir(path: str) -> bool:
    """Tell whether a folder holds mails, each in a file of its own."""
    try:
        return all((Path(path) / name).is_dir() for name in _FOLDERS)
    except (OSError, ValueError):  # no path at all: whoever opens it says why
        return False


def logs_at(path: str) -> list[str]:
    """Return the paths of the logs that a path names: of a Maildir all its mails; raises `SourceError`."""
    return mails_in(path) if is_maildir(path) else [path]


def mails_in(maildir: str) -> list[str]:
    """Return the paths of all mails in a Maildir, in the order of their names; raises `SourceError`."""
    try:
        return list(_by_name(maildir).values())
    except OSError as error:
        raise SourceError(f"cannot read {maildir}: {error.strerror or error}") from error


def name_of(path: str) -> str:
    """Return what a file of a Maildir is called for good: flags come and go behind a colon."""
    return Path(path).name.partition(":")[0]


def maildir_of(path: str) -> str | None:
    """Return the Maildir in which the mail at a path lies, or lay; None where that is no mail of a Maildir."""
    folder = Path(path).parent
    maildir = str(folder.parent)
    return maildir if folder.name in _FOLDERS and is_maildir(maildir) else None


def place_of(path: str) -> str | None:
    """Return where a mail of a Maildir lies now that lay at a path; None where it is gone, or never was one."""
    maildir = maildir_of(path)
    if maildir is None:
        return None
    changed = tuple((Path(maildir) / name).stat().st_mtime_ns for name in _FOLDERS)
    return _listed(maildir, changed).get(name_of(path))


@lru_cache(maxsize=1)
def _listed(maildir: str, _changed: tuple[int, ...]) -> dict[str, str]:
    return _by_name(maildir)


def _by_name(maildir: str) -> dict[str, str]:
    """Return the paths of all mails in a Maildir by their names, one that is being moved once."""
    found: dict[str, str] = {}
    for folder in _FOLDERS:
        with os.scandir(Path(maildir) / folder) as entries:
            found |= {name_of(each.path): each.path for each in entries if each.name[0] != "." and each.is_file()}
    return dict(sorted(found.items()))
