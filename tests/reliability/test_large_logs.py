"""However long a log is, reading it takes no more memory."""

import json
import subprocess
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.reliability.conftest import World

Logs = Callable[..., Iterable[bytes]]

MB = 1_000_000
GB = 1_000 * MB


LAUNCHER = Path(__file__).parents[1] / "benchmarks" / "launcher.py"
"""What starts a process from a small one: Linux counts the memory of the starter as that of the one started."""


def peak_memory(directory: Path, environment: dict[str, str], command: str) -> tuple[int, float]:
    """Run a command in a process of its own; return its exit status and the most memory that it held, in bytes."""
    ran = subprocess.run(
        [sys.executable, "-S", str(LAUNCHER), sys.executable, "-m", "crmflow", "--db", "crm.db", *command.split()],
        cwd=directory,
        env=environment,
        capture_output=True,
        check=False,
    )
    return ran.returncode, json.loads(ran.stdout)["peak"]


@pytest.mark.parametrize(
    "size",
    [100 * MB, pytest.param(10 * GB, marks=[pytest.mark.long, pytest.mark.timeout(3600)])],
    ids=["100MB", "10GB"],
)
def test_memory_does_not_grow_with_the_log(
    small_world: "World", log_lines: Logs, program_environment: dict[str, str], tmp_path: Path, size: int
) -> None:
    """A log of any size is read within 250 MB, and known again afterwards."""
    directory = small_world.copy_to(tmp_path / "store")
    block = b"".join(log_lines(small_world.size, 40_000, padding=100))
    log = directory / "long.jsonl"
    with log.open("wb") as file:
        while file.tell() < size:
            file.write(block)
    status, peak = peak_memory(directory, program_environment, "ingest long.jsonl")
    assert status == 3
    assert peak < 250 * MB, peak
    assert peak_memory(directory, program_environment, "ingest long.jsonl")[0] == 0
    log.unlink()
