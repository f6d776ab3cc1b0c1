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


def twice(number: int) -> bytes:
    """Return a number as text, twice."""
    return b"%d" % number * 2


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


def with_file(path: str, number: int) -> bytes:
    """Return what a file holds, and a number as text."""
    return Path(path).read_bytes() + b"%d" % number


def with_file_fails_at_five(path: str, number: int) -> bytes:
    """Return the same, but fail at five."""
    return fails_at_five(number) if number == 5 else with_file(path, number)


def with_file_dies_at_five(path: str, number: int) -> bytes:
    """Return the same, but be killed at five, whoever does it."""
    return dies_at_five(number) if number == 5 else with_file(path, number)


def with_file_dies_once(path: str, mark: str) -> bytes:
    """Return what a file holds; the first to be asked is killed, having made a mark."""
    try:
        Path(mark).touch(exist_ok=False)
    except FileExistsError:
        return Path(path).read_bytes()
    os.kill(os.getpid(), signal.SIGKILL)
    return b""


def with_file_slowly(path: str, number: int) -> bytes:
    """Return the same as `with_file`, after a moment."""
    time.sleep(0.2)
    return with_file(path, number)
