"""Where a log may lie that was read once: at its path, or beside it under one of the names that rotation gives.

Names only say where to look. What is found is known by its content.
"""

import re
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from crmflow.sources.mailboxes import maildir_of, place_of
from crmflow.sources.remote import is_url

_ROTATED = re.compile(r"[-_.]?\d[\d_.:T-]*$")
"""What rotation puts behind a name: a number or a date."""


def whereabouts(path: str) -> Iterator[str]:
    """Yield the path of a log, then those of the files beside it whose names begin with the log's own, in order.

    The own name is what stands before the first point, without a number or date at its end: that of `events.jsonl.1`,
    `events.2026-03-01.jsonl.gz` and `events-20260301.jsonl` is `events`. A mail of a Maildir has moved within that.
    """
    yield path
    if is_url(path):
        return
    if maildir_of(path) is not None:
        moved = place_of(path)
        yield from [] if moved is None else [moved]
        return
    log = Path(path)
    stem = log.name.partition(".")[0]
    own = _ROTATED.sub("", stem) or stem or log.name
    with suppress(OSError):
        yield from sorted(
            str(each) for each in log.parent.iterdir() if each.name.startswith(own) and each.name != log.name
        )


def can_be_read_again(path: str) -> bool:
    """Tell whether a regular file or an object may lie there: all else can't be read twice, and may let one wait."""
    if is_url(path):
        return True
    try:
        return Path(path).is_file()
    except OSError:
        return False
