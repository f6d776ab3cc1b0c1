"""What the tests of reliability share: the real program run many times a second, a CRM to run it on, and its state.

Random choices come from `SEED`, which every failing comparison shows.
"""

import json
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import SimpleQueue
from typing import Any, NamedTuple, TypedDict, Unpack

import pytest

import crmflow

FOLDER = Path(__file__).parent
AT_ONCE = max(2, min(4, os.cpu_count() or 2))
ENVIRONMENT = {
    "PATH": os.environ.get("PATH", ""),
    "PYTHONPATH": str(Path(crmflow.__file__).parents[1]),
    "PYTHONWARNINGS": "error",
}
SEED = int(os.environ.get("CRMFLOW_TEST_SEED", "20260301"))


class Ran(NamedTuple):
    """How a run ended: its exit status (negative: by which signal), what it printed, and how long it took."""

    command: str
    status: int
    stdout: str
    stderr: str
    was_signalled: bool
    seconds: float

    @property
    def is_clear(self) -> bool:
        """Tell whether the run was done, or ended in one error without a traceback, or was killed."""
        if self.status in {0, 3, -signal.SIGKILL}:
            return "Traceback" not in self.stderr
        return self.status in {1, 75, 130} and self.stderr.count("error: ") == 1 and "Traceback" not in self.stderr


class Options(TypedDict, total=False):
    """What may be said of a run: its variables, after how many seconds it gets which signal, how large files may be."""

    environment: Mapping[str, str]
    after: float | None
    number: int
    most_bytes: int | None


class Program:
    """The program, imported in a process of its own and forked for every run; one run at a time."""

    def __init__(self, environment: Mapping[str, str], changes: Sequence[str]) -> None:
        """Start it with these variables besides the usual ones; `changes` are files of this folder that change it."""
        self._process = subprocess.Popen(
            [sys.executable, str(FOLDER / "preforked.py"), *(str(FOLDER / each) for each in changes)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            encoding="utf-8",
            env={**ENVIRONMENT, **environment},
            start_new_session=True,
        )

    def run(
        self,
        directory: Path,
        arguments: Sequence[str],
        *,
        environment: Mapping[str, str] | None = None,
        after: float | None = None,
        number: int = signal.SIGKILL,
        most_bytes: int | None = None,
    ) -> Ran:
        """Run a command in a directory; `after` that many seconds it gets the signal, SIGKILL if not said.

        No file that it writes can grow beyond `most_bytes`.
        """
        request = {
            "arguments": list(arguments),
            "directory": str(directory),
            "environment": dict(environment or {}),
            "output": f"{self._process.pid}",
            "signal": None if after is None else number,
            "after": after,
            "most_bytes": most_bytes,
        }
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None
        assert stdout is not None
        stdin.write(json.dumps(request) + "\n")
        stdin.flush()
        answer = stdout.readline()
        assert answer, "the program's parent process died"
        ended = json.loads(answer)
        return Ran(
            command=" ".join(arguments),
            status=ended["status"],
            stdout=(directory / f"{self._process.pid}.out").read_text(encoding="utf-8"),
            stderr=(directory / f"{self._process.pid}.err").read_text(encoding="utf-8"),
            was_signalled=ended["was_signalled"],
            seconds=ended["seconds"],
        )

    def end(self) -> None:
        """End the process."""
        with self._process:
            pass


class Programs:
    """Some programs, each started once, lent to one thread at a time."""

    def __init__(self, environment: Mapping[str, str], changes: Sequence[str], count: int) -> None:
        """Start so many, with variables and changes as `Program` takes them."""
        self._all = [Program(environment, changes) for _ in range(count)]
        self._free: SimpleQueue[Program] = SimpleQueue()
        for each in self._all:
            self._free.put(each)

    def run(self, directory: Path, *arguments: str, **options: Unpack[Options]) -> Ran:
        """Run a command as `Program.run` does, on a program that is free."""
        program = self._free.get()
        try:
            return program.run(directory, arguments, **options)
        finally:
            self._free.put(program)

    def must(self, directory: Path, *arguments: str, **options: Unpack[Options]) -> Ran:
        """Run a command that has to be done, some lines or rows left aside."""
        ran = self.run(directory, *arguments, **options)
        assert ran.status in {0, 3}, ran
        return ran

    def each(self, work: Callable[[Any], None], cases: Sequence[Any]) -> None:
        """Do some work for every case, as many at a time as there are programs; the first failure is raised."""
        with ThreadPoolExecutor(len(self._all)) as pool:
            for _ in pool.map(work, cases):
                pass

    def end(self) -> None:
        """End them all."""
        for each in self._all:
            each.end()


@pytest.fixture(scope="session")
def programs_with() -> Iterator[Callable[..., Programs]]:
    """Return a function that starts the program, with the changes that files of this folder make, `count` times."""
    started: list[Programs] = []

    def start(*changes: str, count: int = AT_ONCE, **environment: str) -> Programs:
        started.append(Programs(environment, changes, count))
        return started[-1]

    yield start
    for each in started:
        each.end()


@pytest.fixture(scope="session")
def programs(programs_with: Callable[..., Programs]) -> Programs:
    """The program, ready to be run."""
    return programs_with()


@pytest.fixture(scope="session")
def failing_programs(programs_with: Callable[..., Programs], tmp_path_factory: pytest.TempPathFactory) -> Programs:
    """The program with the injector of faults under it, which FAIL_AT, FAIL_MODE and FAIL_STICKY set off."""
    compiler = shutil.which("gcc")
    assert compiler, "these tests need gcc, to compile tests/reliability/failio.c (Debian, Ubuntu: apt install gcc)"
    library = tmp_path_factory.mktemp("failio") / "failio.so"
    source = FOLDER / "failio.c"
    subprocess.run([compiler, "-O1", "-shared", "-fPIC", "-o", str(library), str(source), "-ldl"], check=True)
    return programs_with(LD_PRELOAD=str(library), FAIL_PATH="crm.db")


WORKFLOWS = {
    "welcome": """
workflow: welcome
type: prospect
steps:
  - {name: intro, kind: email, after: 0d}
  - {name: follow-up, kind: email, after: 3d}
disenrollment_triggers:
  - trigger: link_clicked
  - trigger: replied
  - trigger: page_visited
    url: https://www.acme.example/pricing*
  - trigger: hard_bounced
""",
    "nurture": """
workflow: nurture
type: prospect
steps:
  - {name: letter, kind: email, after: 1d}
disenrollment_triggers:
  - trigger: conversation_started
  - trigger: field_updated
    field: status
    to: [customer]
""",
}
LATER_WORKFLOW = """
workflow: nurture
type: prospect
description: shorter than it was
disenrollment_triggers:
  - trigger: replied
"""
ENROLLED_AT = "2026-03-01T00:00:00Z"
BY_HAND_AT = "2026-03-02T00:00:00Z"


class World:
    """A CRM in a directory: its store `crm.db`, with `size` prospects in two workflows, and files to feed it.

    `big.jsonl` is a log of several pieces, `small.jsonl` one of a few lines; `half.csv` selects every second prospect,
    `changed.csv` changes every prospect and adds as many.
    """

    def __init__(self, directory: Path, programs: Programs, size: int, log_lines: int) -> None:
        """Make it, by the program's own commands."""
        self.directory = directory
        self.size = size
        self._write(log_lines)
        for command in (
            ("init",),
            ("record", "import", "prospect", "prospects.csv"),
            ("workflow", "apply", "welcome.yaml", "nurture.yaml"),
            ("bulk-enroll", "--workflow", "welcome", "prospects.csv", "--at", ENROLLED_AT),
            ("bulk-enroll", "--workflow", "nurture", "half.csv", "--at", ENROLLED_AT),
        ):
            programs.must(directory, "--db", "crm.db", *command)
        assert {each.name for each in directory.glob("crm.db*")} == {"crm.db", "crm.db.lock"}

    def _write(self, log_lines: int) -> None:
        for name, text in {**WORKFLOWS, "later": LATER_WORKFLOW}.items():
            (self.directory / f"{name}.yaml").write_text(text)
        keys = [f"p-{number}" for number in range(self.size)]
        new = [f"q-{number}" for number in range(self.size)]
        self._table("prospects.csv", ["key,email,status", *(f"{key},{key}@acme.example,lead" for key in keys)])
        self._table("half.csv", ["key", *keys[::2]])
        self._table(
            "changed.csv", ["key,email,status", *(f"{key},{key}@other.example,customer" for key in [*keys, *new])]
        )
        (self.directory / "big.jsonl").write_bytes(b"".join(log(self.size, log_lines, padding=3_500)))
        (self.directory / "small.jsonl").write_bytes(b"".join(log(self.size, 60)))

    def _table(self, name: str, lines: Sequence[str]) -> None:
        (self.directory / name).write_text("\n".join(lines) + "\n")

    def copy_to(self, directory: Path) -> Path:
        """Make a directory with a copy of the store, and links to the files; return it."""
        directory.mkdir()
        for each in self.directory.iterdir():
            if each.name == "crm.db":
                shutil.copy(each, directory)
            elif each.suffix in {".csv", ".jsonl", ".yaml"}:
                os.link(each, directory / each.name)
        return directory


def log(size: int, line_count: int, padding: int = 0, name: str = "e") -> Iterator[bytes]:
    """Yield the lines of a log about the prospects of a world: of every type and every class that lines come in."""
    chance = random.Random(f"{SEED} {name} {line_count}")
    page = "https://www.acme.example/"
    kinds: list[tuple[int, dict[str, object]]] = [
        (1, {"type": "replied"}),
        (1, {"type": "link_clicked", "workflow": "welcome"}),
        (1, {"type": "step_completed", "workflow": "nurture", "step": "letter"}),
        (1, {"type": "field_updated", "field": "status", "value": "lead"}),
        (1, {"type": "field_updated", "field": "status", "value": "customer"}),
        (1, {"type": "hard_bounced"}),
        (1, {"type": "email_opened"}),
        (1, {"type": "door_slammed"}),
        (1, {"type": "page_visited"}),  # which lacks its url: a reject
        (1, {"type": "page_visited", "url": f"{page}pricing?of={padding * 'x'}"}),
        (7, {"type": "page_visited", "url": page + padding * "y"}),
    ]
    weights = [weight for weight, _ in kinds]
    for number in range(line_count):
        who = {"prospect": f"p-{chance.randrange(size * 11 // 10)}"}
        at = {"time": f"2026-03-{chance.randrange(1, 28):02}T{number % 24:02}:00:00Z", "id": f"{name}-{number}"}
        _, event = chance.choices(kinds, weights)[0]
        yield json.dumps({**event, **who, **at}).encode() + b"\n"


@pytest.fixture(scope="session")
def program_environment() -> dict[str, str]:
    """Return the environment of every process that these tests start."""
    return dict(ENVIRONMENT)


@pytest.fixture(scope="session")
def log_lines() -> Callable[..., Iterable[bytes]]:
    """Return the function that makes a log's lines."""
    return log


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory, programs: Programs) -> World:
    """A CRM of 1,500 prospects, with a log of 25 MB."""
    return World(tmp_path_factory.mktemp("world"), programs, size=1_500, log_lines=11_000)


@pytest.fixture(scope="session")
def small_world(tmp_path_factory: pytest.TempPathFactory, programs: Programs) -> World:
    """A CRM of 20 prospects, with a log of 60 lines."""
    return World(tmp_path_factory.mktemp("small-world"), programs, size=20, log_lines=10)


State = dict[str, list[tuple[Any, ...]]]
_STATE = {
    "schema": "SELECT type, name, sql FROM sqlite_schema WHERE name NOT LIKE 'sqlite_%'",
    "records": "SELECT type, key, email, fields FROM record",
    "emails": "SELECT address, key, is_current FROM email JOIN record ON record.id = record_id",
    "definitions": "SELECT name, digest FROM workflow JOIN definition ON definition.id = definition_id",
    "field changes": (
        "SELECT key, field, changed_at, hand_run_id > 0, event_id, field_change.value FROM field_change"
        " JOIN record ON record.id = record_id"
    ),
    "bounces": "SELECT key, bounced_at, name, event_id FROM bounce JOIN record ON record.id = record_id",
    "enrollments": (
        "SELECT workflow.name, key, enrolled_at, state, step, step_position, step_at, exited_at, cause, trigger,"
        " event_id, event_type, reading.path, line, note FROM enrollment JOIN record ON record.id = record_id"
        " JOIN workflow ON workflow.id = workflow_id LEFT JOIN exit ON exit.id = exit_id"
        " LEFT JOIN reading ON reading.id = reading_id"
    ),
    "steps": (
        "SELECT workflow_id, key, enrolled_at, step_completion.step, position, completed_at, event_id, line"
        " FROM step_completion JOIN enrollment ON enrollment.id = enrollment_id JOIN record ON record.id = record_id"
    ),
    "rejects": "SELECT path, line, offset, reason, text FROM reject JOIN reading ON reading.id = reading_id",
    "logs": "SELECT path, first_line, length, next_line, fingerprint FROM log",
}
"""What a store says, without the numbers that it gives to its rows."""

_COUNTED = (
    "lines",
    "rejected",
    "without_effect",
    "unmatched",
    "considered",
    "exits",
    "done",
    "added",
    "changed",
    "steps",
)


def read(store: Path, sql: str) -> list[tuple[Any, ...]]:
    """Return the rows of a query on a store, read by SQLite itself and not by crmflow."""
    connection = sqlite3.connect(f"file:{store}?mode=rw", uri=True, timeout=10)
    try:
        return connection.execute(sql).fetchall()
    finally:
        connection.close()


def state_of(store: Path) -> State:
    """Return all that a store says, in an order of its own, paths without their directory."""
    found = {what: read(store, sql) for what, sql in _STATE.items()}
    found["logs"] = [(Path(path).name, *rest) for path, *rest in found["logs"]]
    return {what: sorted(rows, key=repr) for what, rows in found.items()} | {"sums": sums_of(store)}


def sums_of(store: Path) -> list[tuple[Any, ...]]:
    """Return what the summaries of all runs add up to, and that each byte of each log was read once."""
    sums: dict[str, int] = {}
    for (text,) in read(store, "SELECT summary FROM run"):
        summary = json.loads(text)
        counts = {name: summary[name] for name in _COUNTED if isinstance(summary.get(name), int)}
        for name, count in (counts | summary.get("unknown_types", {})).items():
            sums[name] = sums.get(name, 0) + count
    bytes_read = read(
        store, "SELECT path, sum(to_offset - from_offset), min(from_offset), sum(line_count) FROM reading GROUP BY path"
    )
    return sorted([*sums.items(), *bytes_read], key=repr)


def require_sound(store: Path) -> None:
    """Fail unless the store's pages and references are whole."""
    assert read(store, "PRAGMA integrity_check") == [("ok",)]
    assert read(store, "PRAGMA foreign_key_check") == []


@pytest.fixture(scope="session")
def state() -> Callable[[Path], State]:
    """Return the function that reads a store's state, and fails for a store that is not sound."""

    def read_state(store: Path) -> State:
        require_sound(store)
        return state_of(store)

    return read_state
