"""Running crmflow as the user does: in a process of its own, in a pipe or on a terminal."""

import fcntl
import json
import os
import pty
import shutil
import sqlite3
import struct
import subprocess
import sys
import termios
from collections.abc import Callable, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

import crmflow
from crmflow.core.times import shorten

ENVIRONMENT = {
    "PATH": os.environ.get("PATH", ""),
    "PYTHONPATH": str(Path(crmflow.__file__).parents[1]),
    "PYTHONWARNINGS": "error",
    **{name: value for name, value in os.environ.items() if name.startswith("COVERAGE_")},
}
"""What every process gets and nothing else: no locale, no HOME, no colors of the person who runs the tests."""

Run = Callable[..., subprocess.CompletedProcess[str]]
Document = Any
"""What a JSON document holds: each test knows the shape of its own."""

SMALL_CRM = {
    "organizations.csv": "key,name\no-1,Acme\n",
    "prospects.csv": (
        "key,email,name,status,organization\n"
        "p-1,ana@acme.example,Ana,lead,o-1\n"
        "p-2,ben@acme.example,Ben,lead,\n"
        "p-3,cy@acme.example,Cy,lead,\n"
        "p-4,dee@acme.example,Dee,lead,\n"
    ),
    "deals.csv": "key,status,amount,organization,prospects\nD-1,open,400,o-1,p-1 p-2\nD-2,open,900,,\n",
    "welcome.yaml": """\
workflow: welcome
type: prospect
description: Greets new sign-ups
steps:
  - {name: intro, kind: email, after: 0d}
  - {name: follow-up, kind: task, after: 3d}
disenrollment_triggers:
  - trigger: link_clicked
  - trigger: replied
  - trigger: conversation_started
  - {trigger: page_visited, url: "https://www.acme.example/pricing*"}
  - trigger: hard_bounced
  - {trigger: field_updated, field: status, to: [customer, lost]}
""",
    "nurture.yaml": "workflow: nurture\ntype: prospect\ndisenrollment_triggers:\n  - trigger: replied\n",
    "closing.yaml": """\
workflow: closing
type: deal
disenrollment_triggers:
  - trigger: deal_won
  - trigger: deal_lost
""",
    "onboarding.yaml": """\
workflow: onboarding
type: organization
disenrollment_triggers:
  - {trigger: field_updated, field: owner}
""",
}
"""The files of a small CRM. Its records are known since 28 February 2026.

From 1 March on, 0:00 UTC, p-1, p-2 and p-3 are in welcome, p-1 in nurture as well, D-1 in closing, o-1 in onboarding;
p-4 and D-2 are in nothing. Those are runs 1 to 8.
"""


class Crm:
    """crmflow in a directory of its own, on the store `crm.db` that is there or will be."""

    def __init__(self, directory: Path) -> None:
        """Take the directory in which every command runs."""
        self.directory = directory
        self.store = directory / "crm.db"

    def __call__(
        self, *arguments: str, status: int = 0, stdin: str = "", env: Mapping[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run a command, which must end with this exit status; line ends come as they are."""
        raw = subprocess.run(
            [sys.executable, "-m", "crmflow", *arguments],
            cwd=self.directory,
            env={**ENVIRONMENT, "CRMFLOW_DB": "crm.db", **(env or {})},
            input=stdin.encode(),
            capture_output=True,
            check=False,
        )
        ran = subprocess.CompletedProcess(raw.args, raw.returncode, raw.stdout.decode(), raw.stderr.decode())
        assert ran.returncode == status, (arguments, ran.returncode, ran.stdout, ran.stderr)
        return ran

    def json(self, *arguments: str, status: int = 0, stdin: str = "") -> Document:
        """Run a command with `--json` and return its document."""
        return json.loads(self(*arguments, "--json", status=status, stdin=stdin).stdout)

    def refused(self, *arguments: str, status: int = 1, stdin: str = "") -> str:
        """Run a command that is refused: it prints nothing, changes nothing, and what it says is returned."""
        before = self.tables() if self.store.exists() else None
        ran = self(*arguments, status=status, stdin=stdin)
        assert ran.stdout == ""
        assert (self.tables() if self.store.exists() else None) == before
        return ran.stderr

    def write(self, name: str, content: str | bytes) -> str:
        """Write a file beside the store and return its name."""
        (self.directory / name).write_bytes(content.encode() if isinstance(content, str) else content)
        return name

    def log(self, name: str, *events: Mapping[str, object]) -> str:
        """Write a log of events beside the store, or more of them behind those of before; returns its name."""
        with (self.directory / name).open("a", encoding="utf-8") as file:
            file.writelines(json.dumps(event) + "\n" for event in events)
        return name

    def tables(self) -> list[str]:
        """Return all that the store holds, as SQL."""
        with closing(sqlite3.connect(self.store)) as connection:
            return list(connection.iterdump())

    def left(self, workflow: str = "welcome") -> dict[str, tuple[str, str]]:
        """Return who left a workflow: when, and by which trigger or cause."""
        query = "SELECT record, exited_at, coalesce(trigger, cause) FROM exits WHERE workflow = ? AND stands"
        with closing(sqlite3.connect(self.store)) as connection:
            return {record: (shorten(at), cause) for record, at, cause in connection.execute(query, [workflow])}


@pytest.fixture
def bare(tmp_path: Path) -> Crm:
    """Return crmflow in an empty directory, without a store."""
    return Crm(tmp_path)


@pytest.fixture
def crm(tmp_path: Path, small_crm: Path) -> Crm:
    """Return crmflow on a store of its own with the small CRM (SMALL_CRM), whose files lie beside it."""
    shutil.copytree(small_crm, tmp_path, dirs_exist_ok=True)
    return Crm(tmp_path)


@pytest.fixture
def busy_crm(tmp_path: Path, busy_directory: Path) -> Crm:
    """Return the small CRM in a state, and with files, in which every command that changes it has something to do."""
    shutil.copytree(busy_directory, tmp_path, dirs_exist_ok=True)
    return Crm(tmp_path)


@pytest.fixture(scope="session")
def busy_directory(tmp_path_factory: pytest.TempPathFactory, small_crm: Path) -> Path:
    """Make the directory of `busy_crm` once; the store keeps a reject that crmflow has learned to understand since."""
    busy = Crm(shutil.copytree(small_crm, tmp_path_factory.mktemp("busy") / "crm"))
    event = {"type": "replied", "time": "2026-03-02T00:00:00Z", "prospect": "p-2"}
    busy.write("new.csv", "email,name\nnew@acme.example,New\nana@acme.example,Ann\n")
    busy.write("changed.yaml", "workflow: nurture\ntype: prospect\nsteps:\n  - {name: a, kind: wait, after: 0d}\n")
    busy.write("selection.csv", "key\np-1\np-4\n")
    busy.log("events.jsonl", event)
    busy("ingest", busy.write("broken.jsonl", "once not understood\n"), status=3)
    with closing(sqlite3.connect(busy.store)) as connection, connection:
        connection.execute("UPDATE reject SET text = ?", [json.dumps(event).encode()])
    return busy.directory


@pytest.fixture(scope="session")
def small_crm(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make the small CRM once, through the commands that a user would type; returns its directory."""
    made = Crm(tmp_path_factory.mktemp("small_crm"))
    for name, content in SMALL_CRM.items():
        made.write(name, content)
    made("init")
    day_before, begin = ("--at", "2026-02-28T00:00:00Z"), ("--at", "2026-03-01T00:00:00Z")
    for kind in ("organization", "prospect", "deal"):
        made("record", "import", kind, f"{kind}s.csv", *day_before)
    made("workflow", "apply", *(name for name in SMALL_CRM if name.endswith(".yaml")), *day_before)
    made("bulk-enroll", "--workflow", "welcome", "-", *begin, stdin="key\np-1\np-2\np-3\n")
    for record, workflow in (("p-1", "nurture"), ("D-1", "closing"), ("o-1", "onboarding")):
        made("enroll", record, "--workflow", workflow, *begin)
    return made.directory


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
