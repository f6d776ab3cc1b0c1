"""The sample data: a small CRM that shows every trigger at work, and a log as untidy as real ones."""

import csv
import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

import crmflow
from crmflow.core.errors import CrmflowError
from crmflow.core.model import RECORD_TYPES
from crmflow.core.times import parse_time
from crmflow.core.triggers import EVENT_RECORD_TYPES, TRIGGERS
from crmflow.definitions import load

ROOT = Path(crmflow.__file__).parents[1]
DATA = ROOT / "sample_data"
ENROLLED = {"closing": 40, "nurture": 60, "onboarding": 25, "welcome": 80}
ENROLLED_AT = parse_time("2026-03-01T08:00:00Z")
NIGHTLY = str(DATA / "nightly.sh")
LOG = str(DATA / "events.jsonl")
LATE_LOG = str(DATA / "events-late.jsonl")

Event = dict[str, Any]
Run = Callable[..., subprocess.CompletedProcess[str]]


def _rows(name: str) -> list[dict[str, str]]:
    with (DATA / name).open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def _lines(path: str) -> list[str]:
    return Path(path).read_text(encoding="utf-8").split("\n")


def _time_of(event: Event) -> datetime | None:
    try:
        return parse_time(event["time"])
    except CrmflowError:
        return None


def _events(path: str) -> Iterable[Event]:
    for line in _lines(path):
        try:
            yield json.loads(line)
        except json.JSONDecodeError:
            continue


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Run a command in cron's meagre environment and an empty home, crmflow being in its ~/.local/bin."""
    shim = tmp_path / ".local/bin/crmflow"
    shim.parent.mkdir(parents=True)
    shim.write_text(f'#!/bin/sh\nexec {sys.executable} -m crmflow "$@"\n')
    shim.chmod(0o700)
    environment = {"HOME": str(tmp_path), "PATH": "/usr/bin:/bin", "PYTHONPATH": str(ROOT), "LC_ALL": "C.UTF-8"}

    def run_(*command: str, **more: str) -> subprocess.CompletedProcess[str]:
        program = str(shim) if command[0] == "crmflow" else command[0]
        return subprocess.run(
            [program, *command[1:]],
            cwd=tmp_path,
            env={**environment, **more},
            capture_output=True,
            encoding="utf-8",
            check=False,
        )

    return run_


@pytest.fixture
def demo(run: Run, tmp_path: Path) -> str:
    """Return the path of the demo's store, the sample log ingested."""
    path = str(tmp_path / "demo.db")
    made = run("crmflow", "--db", path, "demo", "--quiet")
    assert made.returncode == 0, made.stderr
    return path


def test_records_are_as_many_as_promised_and_linked() -> None:
    """200 prospects, 40 organizations, 60 deals; every key is there once and every link leads somewhere."""
    tables = {kind: _rows(f"{kind}s.csv") for kind in RECORD_TYPES}
    keys = {kind: {row["key"] for row in rows} for kind, rows in tables.items()}
    assert {kind: len(rows) for kind, rows in tables.items()} == {"prospect": 200, "organization": 40, "deal": 60}
    assert keys["prospect"] == {f"p-{number:03}" for number in range(1, 201)}
    assert len({row["email"].casefold() for row in tables["prospect"]}) == 200
    assert {row["organization"] for row in tables["prospect"]} <= keys["organization"] | {""}
    assert {row["organization"] for row in tables["deal"]} <= keys["organization"]
    assert {key for row in tables["deal"] for key in row["prospects"].split()} <= keys["prospect"]


def test_records_hold_what_careless_readers_spoil() -> None:
    """There are leading zeros, accents, commas within quotes, capitals in an email, and the country NO."""
    prospects = _rows("prospects.csv")
    assert any(row["zip"].startswith("0") for row in prospects)
    assert any(not row["name"].isascii() for row in prospects)
    assert any("," in row["name"] for row in prospects)
    assert any(row["email"] != row["email"].lower() for row in prospects)
    assert any(row["country"] == "NO" for row in prospects)
    assert all(row["email"].endswith(".example") for row in prospects)


def test_each_workflow_has_its_enrollments() -> None:
    """The enrollment files fit the workflows by name, number and type of record."""
    workflows = {each.workflow.workflow: each.workflow for each in load([*map(str, DATA.glob("workflows/*.yaml"))])}
    assert workflows.keys() == ENROLLED.keys()
    for name, workflow in workflows.items():
        keys = [row["key"] for row in _rows(f"enrollments/{name}.csv")]
        assert len(keys) == len(set(keys)) == ENROLLED[name]
        assert set(keys) <= {row["key"] for row in _rows(f"{workflow.type}s.csv")}


def test_workflows_use_every_trigger_in_every_form() -> None:
    """Every trigger is declared; a page by one pattern and by several; an update with and without field and values."""
    workflows = [each.workflow for each in load([*map(str, DATA.glob("workflows/*.yaml"))])]
    triggers = [trigger for each in workflows for trigger in each.disenrollment_triggers]
    assert {each.trigger for each in triggers} == TRIGGERS.keys()
    assert {len(each.url) > 1 for each in triggers if each.url} == {True, False}
    updates = {(each.field is None, each.to is None) for each in triggers if each.trigger == "field_updated"}
    assert len(updates) == 4
    assert {step.kind for each in workflows for step in each.steps} == {"email", "task", "wait"}


@pytest.mark.parametrize(("word", "least"), [*((word, 2) for word in EVENT_RECORD_TYPES), ("email_forwarded", 2)])
def test_log_has_events_of_every_type(word: str, least: int) -> None:
    """Every known type of event is in the log more than once, and an unknown one too."""
    assert sum(event.get("type") == word for event in _events(LOG)) >= least


MESS: dict[str, tuple[int, Callable[[Event], object]]] = {
    "a time without an offset": (1, lambda event: "time" in event and _time_of(event) is None),
    "an offset that is not Z": (100, lambda event: not event["time"].endswith("Z")),
    "a fraction of a second": (100, lambda event: "." in event["time"]),
    "no type": (1, lambda event: "type" not in event),
    "no id": (20, lambda event: "id" not in event),
    "a page without an address": (1, lambda event: event.get("type") == "page_visited" and "url" not in event),
    "two records": (1, lambda event: sum(kind in event for kind in RECORD_TYPES) > 1),
    "an email in capitals": (10, lambda event: event.get("prospect", "a").isupper()),
    "a workflow that is not there": (2, lambda event: event.get("workflow", "welcome") not in ENROLLED),
    "a prospect that is not there": (5, lambda event: event.get("prospect") in {"p-777", "nobody@elsewhere.example"}),
    "a change that changes nothing": (3, lambda event: "old" in event and event["old"] == event["value"]),
    "a deal won as an update": (2, lambda event: "deal" in event and event.get("value") == "won"),
    "a time before the enrollments": (5, lambda event: (_time_of(event) or ENROLLED_AT) < ENROLLED_AT),
}


@pytest.mark.parametrize("mess", MESS)
def test_log_is_untidy(mess: str) -> None:
    """The log has lines of every kind that real logs surprise with."""
    least, is_one = MESS[mess]
    assert sum(bool(is_one(event)) for event in _events(LOG)) >= least


def test_lines_come_broken_blank_repeated_and_late() -> None:
    """Of some 3,000 lines some are no JSON, some blank, some the same as one before, some older than one before."""
    lines = _lines(LOG)
    counts = Counter(lines)
    times = [at for event in _events(LOG) if (at := _time_of(event))]
    assert 2900 <= len(lines) <= 3100
    assert sum(bool(line.strip()) and not line.endswith("}") for line in lines) == 2
    assert sum(not line.strip() for line in lines[:-1]) == 4
    assert sum(count > 1 for line, count in counts.items() if line.strip()) >= 40
    assert sum(later < earlier for earlier, later in pairwise(times)) >= 100


def test_every_trigger_decides_at_least_two_exits(run: Run, demo: str) -> None:
    """After the demo every trigger has ended two enrollments or more; some were completed, some are active."""
    listed = json.loads(run("crmflow", "--db", demo, "enrollment", "list", "--json").stdout)
    counts = Counter((each["exit"] or {"trigger": "active"})["trigger"] or "completed" for each in listed)
    assert counts.keys() == TRIGGERS.keys() | {"completed", "active"}
    assert min(counts.values()) >= 2


def test_late_log_moves_exits_and_ends_more(run: Run, demo: str) -> None:
    """The late log moves six exits to an earlier time and ends three enrollments more; one line is a reject."""
    late = run("crmflow", "--db", demo, "ingest", "--json", LATE_LOG)
    summary = json.loads(late.stdout)
    assert (summary["lines"], summary["moved"], summary["exits"], summary["rejected"]) == (20, 6, 3, 1)
    assert late.returncode == 3


@pytest.mark.parametrize("logs", [[LOG], [LOG, LATE_LOG]])
def test_selection_has_a_row_of_every_outcome(run: Run, demo: str, logs: list[str]) -> None:
    """Disenrolling the selection from welcome leaves no outcome out, with and without the late log."""
    run("crmflow", "--db", demo, "ingest", *logs)
    selection = str(DATA / "selection.csv")
    at = "2026-03-31T18:00:00Z"
    done = run("crmflow", "--db", demo, "bulk-disenroll", "--workflow", "welcome", selection, "--at", at, "--json")
    summary = json.loads(done.stdout)
    counts = {name: summary[name] for name in ("done", "already_out", "not_enrolled", "unknown", "duplicate")}
    assert counts == {"done": 7, "already_out": 1, "not_enrolled": 1, "unknown": 1, "duplicate": 1}


def test_nightly_goes_on_after_rejects_and_says_so(run: Run, demo: str) -> None:
    """With lines that are not understood nightly.sh does the rest all the same, and ends with 3."""
    night = run(NIGHTLY, LATE_LOG, CRMFLOW_DB=demo)
    assert night.returncode == 3
    assert "not understood" in night.stderr
    assert run("crmflow", "--db", demo, "due", "--at", "2026-04-30T00:00:00Z").stdout == ""


def test_nightly_takes_the_store_as_first_argument(run: Run, demo: str) -> None:
    """Without CRMFLOW_DB the first argument is the store; a night without news ends with 0 and tells what was due."""
    night = run(NIGHTLY, demo, LOG)
    assert (night.returncode, night.stderr) == (0, "")
    assert "\toffer\temail\t" in night.stdout


def test_nightly_is_silent_where_nothing_is_due(run: Run, demo: str) -> None:
    """A night without news gives cron nothing to mail; the copy holds the store as it was before the night."""
    before = run("crmflow", "--db", demo, "enrollment", "list").stdout
    assert run(NIGHTLY, demo, LOG).stdout
    assert run("crmflow", "--db", demo, "enrollment", "list").stdout != before
    assert run("crmflow", "--db", f"{demo}.before", "enrollment", "list").stdout == before
    night = run(NIGHTLY, demo, LOG)
    assert (night.returncode, night.stdout, night.stderr) == (0, "", "")


def test_nightly_completes_no_step_without_the_logs(run: Run, demo: str) -> None:
    """Where the logs can't be read nightly.sh stops with crmflow's status before any step is completed."""
    due = run("crmflow", "--db", demo, "due").stdout
    night = run(NIGHTLY, demo, "missing.jsonl")
    assert (night.returncode, night.stdout) == (1, "")
    assert due
    assert run("crmflow", "--db", demo, "due").stdout == due


def test_two_nightlies_at_once_do_no_harm(run: Run, demo: str, tmp_path: Path) -> None:
    """Two nights at one time read each line once and complete each step once, as one of them would have done."""
    alone = str(tmp_path / "alone.db")
    assert run("crmflow", "--db", demo, "backup", alone, "--quiet").returncode == 0
    run(NIGHTLY, LATE_LOG, CRMFLOW_DB=alone)
    with ThreadPoolExecutor(2) as both:
        nights = list(both.map(lambda _: run(NIGHTLY, LATE_LOG, CRMFLOW_DB=demo), range(2)))
    assert sorted(night.returncode for night in nights) == [0, 3]
    runs = json.loads(run("crmflow", "--db", demo, "run", "list", "--json").stdout)
    late = [each["summary"] for each in runs if each["command"] == "ingest"][:-1]
    assert [(summary["lines"], summary["exits"], summary["moved"]) for summary in late] == [(20, 3, 6)]
    states = [run("crmflow", "--db", store, "status", "--json").stdout for store in (demo, alone)]
    assert json.loads(states[0])["workflows"] == json.loads(states[1])["workflows"]


def test_nightly_explains_itself_without_arguments(run: Run) -> None:
    """Without a store or a log nightly.sh is wrong usage."""
    night = run(NIGHTLY)
    assert night.returncode == 2
    assert night.stderr.startswith("usage: ")


def test_crontab_example_has_one_line_for_cron() -> None:
    """The example holds one line for cron, with nightly.sh and full paths; cron would cut it at a bare percent sign."""
    lines = [line for line in (DATA / "crontab.example").read_text().splitlines() if not line.startswith("#")]
    assert len(lines) == 1
    assert "/nightly.sh /" in lines[0]
    assert "%" not in lines[0]
    assert os.access(NIGHTLY, os.X_OK)
