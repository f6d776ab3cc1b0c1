"""Running crmflow as the user does: in a process of its own, in a pipe or on a terminal."""

import fcntl
import os
import pty
import struct
import subprocess
import sys
import termios
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

import crmflow

ENVIRONMENT = {
    "PATH": os.environ.get("PATH", ""),
    "PYTHONPATH": str(Path(crmflow.__file__).parents[1]),
    "PYTHONWARNINGS": "error",
}
"""What every process gets and nothing else: no locale, no HOME, no colors of the person who runs the tests."""

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def environment() -> Mapping[str, str]:
    """Return the environment of every process that these tests start."""
    return ENVIRONMENT


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Run Python with some arguments in an empty directory, its standard streams in pipes."""

    def run(*arguments: str, env: Mapping[str, str] | None = None, stdin: str = "") -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, *arguments],
            cwd=tmp_path,
            env={**ENVIRONMENT, **(env or {})},
            input=stdin,
            capture_output=True,
            encoding="utf-8",
            check=False,
        )

    return run


@pytest.fixture
def shell(tmp_path: Path) -> Run:
    """Run a shell's command in an empty directory; its exit status is not that of a `true` behind a pipe."""

    def run(command: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["/bin/bash", "-c", f"set -o pipefail; {command}"],
            cwd=tmp_path,
            env={**ENVIRONMENT, "HOME": str(tmp_path)},
            capture_output=True,
            encoding="utf-8",
            check=False,
        )

    return run


@pytest.fixture
def terminal(tmp_path: Path) -> Run:
    """Run Python with some arguments on a terminal of some width; its `stdout` is all that the terminal received."""

    def run(
        *arguments: str, columns: int = 80, env: Mapping[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
        process = subprocess.Popen(
            [sys.executable, *arguments],
            cwd=tmp_path,
            env={**ENVIRONMENT, "TERM": "xterm", **(env or {})},
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
        )
        os.close(theirs)
        text = _read_to_the_end(ours)
        os.close(ours)
        return subprocess.CompletedProcess(arguments, process.wait(), stdout=text, stderr="")

    return run


def _read_to_the_end(descriptor: int) -> str:
    received = bytearray()
    while True:
        try:
            piece = os.read(descriptor, 65536)
        except OSError:  # how a pty on Linux says that the other side is closed
            break
        if not piece:
            break
        received += piece
    return received.decode().replace("\r\n", "\n")
