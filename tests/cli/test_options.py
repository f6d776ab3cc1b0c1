"""What every command takes: `--db`, `--json`, `--quiet`, and for changes `--at`, `--dry-run`, `--wait`."""

import json
import os
import re
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.cli.conftest import Crm

Run = Callable[..., subprocess.CompletedProcess[str]]

AT = ("--at", "2026-03-09T12:00:00Z")
CHANGES = [
    ("record", "import", "prospect", "new.csv"),
    ("record", "add", "prospect:p-9", "email=new@acme.example"),
    ("record", "set", "prospect:p-1", "status=customer"),
    ("record", "remove", "prospect:p-1"),
    ("workflow", "apply", "changed.yaml"),
    ("workflow", "remove", "closing", "--disenroll"),
    ("enroll", "p-4", "--workflow", "welcome"),
    ("bulk-enroll", "--workflow", "welcome", "selection.csv"),
    ("disenroll", "p-1", "--workflow", "welcome"),
    ("bulk-disenroll", "--workflow", "welcome", "selection.csv"),
    ("advance",),
    ("ingest", "events.jsonl"),
    ("rejects", "retry"),
    ("rejects", "clear"),
]
READS = [
    ("status",),
    ("doctor",),
    ("backup", "copy.db"),
    ("workflow", "list"),
    ("workflow", "show", "welcome"),
    ("record", "show", "prospect:p-1"),
    ("record", "list", "prospect"),
    ("enrollment", "list"),
    ("due",),
    ("rejects", "list"),
    ("run", "list"),
    ("run", "show", "1"),
    ("report",),
    ("backtest", "--workflow", "nurture.yaml", "-"),
]


@pytest.mark.parametrize("command", CHANGES, ids=" ".join)
def test_a_dry_run_tells_what_the_command_then_does(busy_crm: "Crm", command: tuple[str, ...]) -> None:
    """`--dry-run` prints what the command prints without it, but for the run's number, and changes nothing at all."""
    crm = busy_crm
    before = crm.tables()
    rehearsed = crm(*command, *AT, "--json", "--dry-run")
    assert crm.tables() == before
    assert rehearsed.stderr.endswith("dry run: nothing was changed\n")
    done = crm.json(*command, *AT)
    assert crm.tables() != before
    assert isinstance(done["run"], int)
    assert json.loads(rehearsed.stdout) == {**done, "run": None}


@pytest.mark.parametrize("command", CHANGES, ids=" ".join)
def test_a_change_can_be_quiet(busy_crm: "Crm", command: tuple[str, ...]) -> None:
    """With `--quiet` a change that succeeds says nothing; only the steps of `advance` are data, and stay."""
    ran = busy_crm(*command, *AT, "--quiet")
    assert ran.stderr == ""
    assert bool(ran.stdout) == (command == ("advance",))


@pytest.mark.parametrize("command", CHANGES, ids=" ".join)
def test_a_change_happens_at_the_time_given(busy_crm: "Crm", command: tuple[str, ...]) -> None:
    """`--at` is the time of what a command does, and its run remembers it; an offset is turned into UTC."""
    busy_crm(*command, "--at", "2026-03-09T13:30:00.25+01:30")
    with closing(sqlite3.connect(busy_crm.store)) as connection:
        newest = connection.execute("SELECT command, at FROM run ORDER BY id DESC LIMIT 1").fetchone()
    assert newest == (_words(command), "2026-03-09T12:00:00.250000Z")


def _words(command: tuple[str, ...]) -> str:
    return " ".join(command[:2] if command[0] in {"record", "workflow", "rejects"} else command[:1])


@pytest.mark.parametrize("command", READS, ids=" ".join)
def test_a_reading_command_changes_nothing(crm: "Crm", command: tuple[str, ...]) -> None:
    """A command that reads prints one JSON document with `--json`, and leaves the store as it is."""
    before = crm.tables()
    assert isinstance(crm.json(*command), list | dict)
    assert crm.tables() == before


@pytest.mark.parametrize("command", [("enrollment", "list"), ("due",), ("record", "list", "deal")], ids=" ".join)
def test_quiet_keeps_what_was_asked_for(crm: "Crm", command: tuple[str, ...]) -> None:
    """`--quiet` takes away words, not data."""
    quiet, plain = crm(*command, "--quiet"), crm(*command)
    assert quiet.stdout == plain.stdout != ""
    assert quiet.stderr == ""


def test_a_terminal_gets_a_table(crm: "Crm", terminal: Run) -> None:
    """On a terminal rows have a header, and with NO_COLOR no colors; in a pipe a row is a line of cells."""
    command = ("-m", "crmflow", "--db", str(crm.store), "due", "--at", "2026-03-01T00:00:00Z")
    header, first, *_ = terminal(*command, columns=120, env={"NO_COLOR": "1"}).stdout.splitlines()
    assert re.sub(r"\x1b\[0?1?m", "", header).split() == ["workflow", "record", "step", "kind", "due_at"]
    assert first.split() == ["welcome", "p-1", "intro", "email", "2026-03-01T00:00:00Z"]
    assert len(crm(*command[2:]).stdout.splitlines()[0].split("\t")) == 5


@pytest.mark.parametrize("command", [*CHANGES, *READS], ids=" ".join)
def test_without_a_store_nothing_is_made_up(bare: "Crm", command: tuple[str, ...]) -> None:
    """Only `init` and `demo` make a store: everything else says that there is none and how to make one."""
    for name in ("changed.yaml", "nurture.yaml"):
        bare.write(name, "workflow: w\ntype: deal\n")
    before = sorted(bare.directory.iterdir())
    said = bare.refused(*command)
    assert said == "error: there is no store: crm.db does not exist\nhint: make one with: crmflow --db crm.db init\n"
    assert sorted(bare.directory.iterdir()) == before


@pytest.mark.parametrize(
    ("time", "what"),
    [
        ("2026-03-01T00:00:00", "time without an offset"),
        ("2026-03-01", "a date, not a time"),
        ("yesterday", "not an RFC 3339 time"),
        ("2026-02-30T00:00:00Z", "no such time"),
        ("", "it is empty"),
    ],
)
def test_a_time_must_be_one(crm: "Crm", time: str, what: str) -> None:
    """`--at` without an offset, without a time of day or outside the calendar is wrong usage, and says so."""
    assert what in crm.refused("enroll", "p-4", "--workflow", "welcome", "--at", time, status=2)


@contextmanager
def holding(crm: "Crm", environment: Mapping[str, str]) -> Iterator[subprocess.Popen[str]]:
    """Let another run hold the store for the length of the block: one that reads a pipe in which nothing comes."""
    pipe = crm.directory / "pipe"
    os.mkfifo(pipe)
    command = [sys.executable, "-m", "crmflow", "--db", "crm.db", "ingest", "--dry-run", "pipe"]
    process = subprocess.Popen(
        command, cwd=crm.directory, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, encoding="utf-8"
    )
    with process, pipe.open("wb"):  # opens as soon as the other run does, which then holds the store
        yield process


def test_a_store_that_is_held_is_waited_for(crm: "Crm", environment: Mapping[str, str]) -> None:
    """While another run holds the store, a change waits for `--wait` and ends with 75, naming the process."""
    with holding(crm, environment) as holder:
        said = crm.refused("enroll", "p-4", "--workflow", "welcome", "--wait", "0.2", status=75)
        assert said.startswith(f"error: another run holds the store (process {holder.pid}); waited 0.2 s\nhint: ")
        assert "nothing was changed" in said


def test_a_reader_does_not_wait(crm: "Crm", environment: Mapping[str, str]) -> None:
    """Commands that read are not held up by a run that changes the store."""
    with holding(crm, environment):
        assert len(crm.json("enrollment", "list")) == 6


def test_a_store_that_is_left_is_taken(crm: "Crm", environment: Mapping[str, str]) -> None:
    """A change that waits goes on as soon as the other run is over."""
    with holding(crm, environment):
        command = [sys.executable, "-m", "crmflow", "--db", "crm.db", "enroll", "p-4", "-w", "welcome", "--wait", "50"]
        waiting = subprocess.Popen(command, cwd=crm.directory, env=environment, stdout=subprocess.PIPE)
        with pytest.raises(subprocess.TimeoutExpired):
            waiting.wait(0.5)
    with waiting:
        assert waiting.wait() == 0


def test_an_interrupted_run_leaves_the_store_as_it_was(crm: "Crm", environment: Mapping[str, str]) -> None:
    """Ctrl-C ends a run with 130 and one sentence; the store is consistent and free for the next run."""
    before = crm.tables()
    calm = {**environment, "PYTHONWARNINGS": "ignore"}  # of the pipe, which may be interrupted while it is opened
    with holding(crm, calm) as interrupted:
        interrupted.send_signal(signal.SIGINT)
        _, said = interrupted.communicate()
        assert interrupted.returncode == 130
        assert said.startswith("error: interrupted; the store is consistent\n")
    assert crm.tables() == before
    crm("enroll", "p-4", "--workflow", "welcome", "--wait", "0")


def test_a_store_held_by_another_program_is_waited_for(crm: "Crm") -> None:
    """A transaction of another program ends a change with 75 after the wait, which is blamed for it."""
    with closing(sqlite3.connect(crm.store, isolation_level=None)) as shell:
        shell.execute("BEGIN IMMEDIATE")
        said = crm.refused("disenroll", "prospect:p-1", "--workflow", "welcome", "--wait", "0.2", status=75)
        assert "another program holds crm.db (not crmflow: a sqlite3 shell?); nothing was changed" in said
        assert crm("status").stdout
    crm("disenroll", "prospect:p-1", "--workflow", "welcome", "--wait", "0.2")
