"""Tasks for the tests of engines, which other processes can find by their name."""

import os
import signal
import time
from pathlib import Path

from crmflow.core.errors import SourceError


def slow_if_even(number: int) -> bytes:
    """Return a number as text, the even ones after a moment."""
    time.sleep(0.01 * (number % 2 == 0))
    return b"%d" % number


def doubled(data: bytes) -> bytes:
    """Return the data twice."""
    return data * 2


def fails_at_five(number: int) -> bytes:
    """Return a number as text, but fail at five."""
    if number == 5:
        raise SourceError("five is too many", hint="count to four")
    return b"%d" % number


def dies_at_five(number: int) -> bytes:
    """Return a number as text, but be killed at five."""
    if number == 5:
        os.kill(os.getpid(), signal.SIGKILL)
    return b"%d" % number


def leaves_its_number(folder: str) -> bytes:
    """Make a file that is called by the number of this process."""
    (Path(folder) / str(os.getpid())).touch()
    time.sleep(0.05)
    return b""
