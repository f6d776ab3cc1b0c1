"""What a process costs, and who is measured against whom: in turn, so that a busy moment of the machine meets all."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import NamedTuple

FOLDER = Path(__file__).parent
ROOT = FOLDER.parents[1]
ENVIRONMENT = {"PATH": os.environ.get("PATH", ""), "LC_ALL": "C.UTF-8"}
LAUNCHER = (sys.executable, "-I", "-S", str(FOLDER / "launcher.py"))
PYTHON = sys.executable
CRMFLOW = str(Path(sys.executable).with_name("crmflow"))
SQLITE_UTILS = str(Path(sys.executable).with_name("sqlite-utils"))


class Cost(NamedTuple):
    """What a process and its children took: seconds on the clock and of the processors, bytes of the largest one."""

    wall: float
    cpu: float
    peak: float


class Contestant(NamedTuple):
    """One that is measured: its command (begins with a path), and what puts everything in place before each run."""

    command: Sequence[str]
    prepare: Callable[[], object] | None = None


class CommandError(Exception):
    """A command that was to be measured, or is needed for it, failed: there is nothing to compare."""


def crmflow_on(store: Path, *arguments: str) -> list[str]:
    """Return crmflow's command line for a store."""
    return [CRMFLOW, "--db", str(store), *arguments]


def run(*command: str) -> str:
    """Run a command in the root of the checkout and return what it prints; raises `CommandError` where it fails."""
    ended = subprocess.run(
        command, cwd=ROOT, env=ENVIRONMENT, stdin=subprocess.DEVNULL, capture_output=True, encoding="utf-8", check=False
    )
    if ended.returncode:
        raise CommandError(f"{' '.join(command)} ended with {ended.returncode}: {ended.stderr[-1000:]}")
    return ended.stdout


def measure(contestant: Contestant) -> Cost:
    """Run a contestant once, everything put in place before, and return what it cost."""
    if contestant.prepare is not None:
        contestant.prepare()
    return Cost(**json.loads(run(*LAUNCHER, *contestant.command)))


def in_turn(contestants: Mapping[str, Contestant], repeat: int) -> dict[str, Cost]:
    """Run all contestants one after the other, `repeat` times, and return the median of each one's costs.

    Every run is told of on standard error, for those who wait.
    """
    costs: dict[str, list[Cost]] = {name: [] for name in contestants}
    for number in range(1, repeat + 1):
        for name, contestant in contestants.items():
            cost = measure(contestant)
            costs[name].append(cost)
            sys.stderr.write(f"{number}. {name}: {cost.wall:.3f} s\n")
    return {name: Cost(*map(median, zip(*each, strict=True))) for name, each in costs.items()}
