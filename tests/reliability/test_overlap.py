"""Runs that overlap wait for each other, lose nothing, do nothing twice, and hold up no reader."""

import fcntl
import functools
import itertools
import json
import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import crmflow
from crmflow.sources.logs import open_log

if TYPE_CHECKING:
    from tests.reliability.conftest import Programs, Ran, State, World

STATES = Callable[[Path], "State"]
Logs = Callable[..., Iterable[bytes]]

BY_HAND_AT = "2026-03-09T12:00:00Z"
ORDER_DEPENDENT = {"exits", "done"}
"""Sums that say which run was first, not what became of the store."""


class Crowd:
    """Several users of one store, each of whom does one thing after the other until the time is up."""

    def __init__(self, programs: "Programs", directory: Path, seconds: float) -> None:
        """Take the programs to run, where, and how long."""
        self._programs = programs
        self._directory = directory
        self._end = time.monotonic() + seconds
        self.runs: list[Ran] = []

    def work(self, commands: Iterable[str], *, to_the_end: bool = False) -> None:
        """Be one user: run the commands in their order, in the time that there is or to the end of them."""
        for command in commands:
            if time.monotonic() > self._end and not to_the_end:
                break
            self.runs.append(self._programs.run(self._directory, "--db", "crm.db", *command.split()))

    def write_log(self, name: str, lines: Iterable[bytes]) -> None:
        """Be a program that writes a log, in blocks that end anywhere, to its end."""
        lines = list(lines)
        with (self._directory / name).open("ab", buffering=0) as file:
            data = b"".join(lines)
            size = len(data) // 150
            for start in range(0, len(data), size):
                file.write(data[start : start + size])
                if time.monotonic() < self._end - 1:
                    time.sleep(0.01)


def repeated(*commands: str) -> Iterator[str]:
    """Yield the commands again and again."""
    while True:
        yield from commands


def enrolling(size: int) -> Iterator[str]:
    """Yield commands that add, enroll and set records of which no log tells."""
    for number in range(size):
        yield f"record add prospect:r-{number} email=r-{number}@acme.example"
        yield f"enroll prospect:r-{number} --workflow welcome --at 2026-03-01T00:00:00Z"
        yield f"record set prospect:r-{number} score={number} --at 2026-03-03T00:00:00Z"
        yield f"disenroll prospect:r-{number} --workflow welcome --at {BY_HAND_AT}"


def disenrolling(size: int) -> Iterator[str]:
    """Yield commands that take every second prospect out, one by one and all at once, again and again."""
    for number in itertools.count():
        yield f"disenroll prospect:p-{2 * number % size} --workflow welcome --at {BY_HAND_AT}"
        yield f"bulk-disenroll --workflow welcome half.csv --at {BY_HAND_AT}"


def comparable(found: "State") -> "State":
    """Return the part of a state that no order of runs may change.

    A completed step that lies after the exit is kept or not, depending on which was known first; it counts in neither
    case.
    """
    sums = [each for each in found["sums"] if each[0] not in ORDER_DEPENDENT]
    return {**found, "steps": [], "sums": sums}


@pytest.fixture(scope="session")
def many_programs(programs_with: Callable[..., "Programs"]) -> "Programs":
    """The program eight times, to run at once."""
    return programs_with(count=8)


@pytest.mark.parametrize("seconds", [3, pytest.param(60, marks=[pytest.mark.long, pytest.mark.timeout(900)])])
def test_a_crowd_does_what_one_after_the_other_does(
    many_programs: "Programs", small_world: "World", log_lines: Logs, state: STATES, tmp_path: Path, seconds: int
) -> None:
    """Eight processes at once end with the state of a sequence: no line lost or counted twice, no error by the way."""
    directory, size = small_world.copy_to(tmp_path / "crowd"), 3 * seconds
    crowd = Crowd(many_programs, directory, seconds)
    written = {name: list(log_lines(small_world.size, 6_000 * seconds, 300, name)) for name in ("a", "b")}
    for name in written:
        (directory / f"{name}.jsonl").touch()
    tasks = [
        lambda: crowd.write_log("a.jsonl", written["a"]),
        lambda: crowd.write_log("b.jsonl", written["b"]),
        lambda: crowd.work(repeated("ingest a.jsonl")),
        lambda: crowd.work(repeated("ingest b.jsonl a.jsonl")),
        lambda: crowd.work(repeated("ingest b.jsonl", "ingest a.jsonl b.jsonl")),
        lambda: crowd.work(enrolling(size), to_the_end=True),
        lambda: crowd.work(disenrolling(small_world.size)),
        lambda: crowd.work(repeated("status", "enrollment list --json", "doctor", "backup --overwrite copy.sqlite")),
    ]
    with ThreadPoolExecutor(len(tasks)) as pool:
        for done in [pool.submit(task) for task in tasks]:
            done.result()
    assert not [ran for ran in crowd.runs if not ran.is_clear or ran.status not in {0, 3}]
    assert not [ran for ran in crowd.runs if "another program" in ran.stderr]
    assert len(crowd.runs) > 5 * seconds

    alone = small_world.copy_to(tmp_path / "alone")
    for name, lines in written.items():
        (alone / f"{name}.jsonl").write_bytes(b"".join(lines))
    for place, commands in ((directory, ()), (alone, enrolling(size))):
        for command in (
            "ingest a.jsonl b.jsonl",
            f"bulk-disenroll --workflow welcome half.csv --at {BY_HAND_AT}",
            *commands,
        ):
            many_programs.must(place, "--db", "crm.db", *command.split())
    assert comparable(state(directory / "crm.db")) == comparable(state(alone / "crm.db"))
    lines = dict(each[:2] for each in state(directory / "crm.db")["sums"] if len(each) == 2)["lines"]
    assert lines == sum(map(len, written.values()))


def test_a_log_that_grew_is_known_again(tmp_path: Path, log_lines: Logs) -> None:
    """A run that opened a log before it grew recognises what another run has read of it meanwhile."""
    path = tmp_path / "events.jsonl"
    path.write_bytes(b"".join(log_lines(20, 50)))
    with open_log(str(path)) as before:
        with path.open("ab") as file:
            file.writelines(log_lines(20, 50, name="f"))
        with open_log(str(path)) as after:
            whole = path.stat().st_size
            assert before.fingerprint(whole) == after.fingerprint(whole) is not None


@contextmanager
def running(directory: Path, command: str, stdin: int | None = None) -> Iterator[subprocess.Popen[str]]:
    """Run a command in a process of its own; it is killed if it has not ended with the block."""
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(Path(crmflow.__file__).parents[1])}
    arguments = [sys.executable, "-m", "crmflow", "--db", "crm.db", *command.split()]
    with subprocess.Popen(
        arguments, cwd=directory, env=environment, stdin=stdin, stderr=subprocess.PIPE, encoding="utf-8"
    ) as process:
        yield process
        if process.poll() is None:
            process.kill()


def is_held(directory: Path) -> bool:
    """Tell whether some process holds the store."""
    with (directory / "crm.db.lock").open("ab") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        return False


def stop_while_it_holds(process: "subprocess.Popen[str]", directory: Path) -> None:
    """Stop a process (as Ctrl-Z does) at a moment at which it holds the store."""
    while process.poll() is None:
        if is_held(directory):
            process.send_signal(signal.SIGSTOP)
            time.sleep(0.05)
            if is_held(directory):
                return
            process.send_signal(signal.SIGCONT)
    raise AssertionError("it never held the store")


def test_a_stopped_holder_is_named_and_a_killed_one_forgotten(
    programs: "Programs", world: "World", tmp_path: Path
) -> None:
    """A writer waits as long as `--wait` says for a holder that was stopped, and ends with 75; readers do not wait."""
    directory = world.copy_to(tmp_path / "store")
    disenroll = ["--db", "crm.db", "disenroll", "prospect:p-1", "--workflow", "welcome", "--wait"]
    with running(directory, "ingest big.jsonl") as holder:
        stop_while_it_holds(holder, directory)
        waited = programs.run(directory, *disenroll, "0.5")
        assert (waited.status, f"another run holds the store (process {holder.pid})" in waited.stderr) == (75, True)
        assert 0.5 <= waited.seconds < 5
        for reader in ("status", "enrollment list", "doctor", "backup copy.sqlite"):
            assert programs.must(directory, "--db", "crm.db", *reader.split()).seconds < 5
        holder.kill()
        holder.wait()
        assert programs.run(directory, *disenroll, "0").status == 0


def test_a_long_ingest_lets_others_in(programs: "Programs", world: "World", tmp_path: Path) -> None:
    """While a long log is read, changes by others are made between its transactions, long before its end."""
    directory = world.copy_to(tmp_path / "store")
    log_in, log_out = os.pipe()

    def write_long_log() -> None:
        with os.fdopen(log_out, "wb") as file:
            for _ in range(6):
                file.write((directory / "big.jsonl").read_bytes())

    writer = threading.Thread(target=write_long_log)
    with running(directory, "ingest - --quiet", stdin=log_in) as ingest:
        os.close(log_in)
        writer.start()
        while not programs.must(directory, "--db", "crm.db", "run", "list").stdout.count("ingest"):
            assert ingest.poll() is None
        done = []
        for number in range(4):
            done.append(programs.must(directory, "--db", "crm.db", "record", "set", "prospect:p-1", f"seen={number}"))
            assert ingest.poll() is None, "the others came only after its end"
        writer.join()
        assert ingest.wait() == 3
    assert max(ran.seconds for ran in done) < 5


def test_rules_that_change_while_a_pipe_is_read(programs: "Programs", world: "World", tmp_path: Path) -> None:
    """What came through a pipe before new rules were in force, and was not taken in yet, is judged by the new ones."""
    directory = world.copy_to(tmp_path / "store")
    crmflow_on = functools.partial(programs.must, directory, "--db", "crm.db")
    rules = "workflow: late\ntype: prospect\n"
    (directory / "late.yaml").write_text(rules)
    crmflow_on("workflow", "apply", "late.yaml")
    crmflow_on("enroll", "prospect:p-1", "--workflow", "late", "--at", "2026-01-01T00:00:00Z")
    reply = b'{"type": "replied", "time": "2026-01-02T00:00:00Z", "prospect": "p-1"}\n'
    log_in, log_out = os.pipe()
    with os.fdopen(log_out, "wb", buffering=0) as pipe, running(directory, "ingest -", stdin=log_in) as ingest:
        os.close(log_in)
        pipe.write(reply * 5_000)  # more than its head and what the pipe holds: the rules in force were looked at
        (directory / "late.yaml").write_text(rules + "disenrollment_triggers: [{trigger: replied}]\n")
        crmflow_on("workflow", "apply", "late.yaml")
        pipe.write(reply)
        pipe.close()
        assert ingest.wait() == 0
    left = json.loads(crmflow_on("enrollment", "list", "--workflow", "late", "--json").stdout)
    assert [(each["record"], each["exit"]["trigger"]) for each in left] == [("p-1", "replied")]
    [reading] = sqlite3.connect(directory / "crm.db").execute("SELECT line_count FROM reading WHERE path = '-'")
    assert reading == (5_001,)
