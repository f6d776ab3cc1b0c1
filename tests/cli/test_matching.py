"""Matching away from the store: three commands that are an ingest, and an ingest that has a cluster match."""

import json
import shutil
from itertools import permutations
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.cli.conftest import Crm
    from tests.object_store import ObjectStore

EVENTS = [
    {"type": "replied", "time": "2026-03-03T10:00:00Z", "prospect": "p-1"},
    {
        "type": "page_visited",
        "time": "2026-03-02T10:00:00Z",
        "prospect": "p-2",
        "url": "https://www.acme.example/pricing",
    },
    {
        "type": "field_updated",
        "time": "2026-03-02T11:00:00Z",
        "prospect": "p-3",
        "field": "status",
        "value": "customer",
    },
    {"type": "deal_won", "time": "2026-03-02T12:00:00Z", "deal": "D-1"},
    {"type": "replied", "time": "2026-03-02T09:00:00Z", "prospect": "ana@acme.example"},
    {"type": "replied", "time": "2026-03-02T09:00:00Z", "prospect": "nobody"},
    {
        "type": "step_completed",
        "time": "2026-03-01T09:00:00Z",
        "prospect": "p-1",
        "workflow": "welcome",
        "step": "intro",
    },
]


@pytest.fixture
def matched(crm: "Crm") -> "Crm":
    """The small CRM, what happened in three logs, and the exits of each: `0.exits`, `1.exits`, `2.exits`."""
    crm("snapshot", "export", "crm.snapshot")
    for number in range(3):
        crm.write(f"{number}.jsonl", f'{{"type": "log-{number}"}}\nbroken {number}\n')
        crm.log(f"{number}.jsonl", *EVENTS[number::3])
        crm("match", "--snapshot", "crm.snapshot", f"{number}.jsonl", "--out", f"{number}.exits")
    return crm


def _twin(crm: "Crm", name: str) -> "Crm":
    return type(crm)(Path(shutil.copytree(crm.directory, crm.directory.parent / f"{crm.directory.name}-{name}")))


def _all(crm: "Crm") -> object:
    return crm.json("enrollment", "list"), crm.json("record", "list", "prospect"), crm.json("record", "list", "deal")


def _without_run(document: object) -> object:
    return json.loads(json.dumps(document).replace('"run": 10', '"run": 9').replace('"run": 11', '"run": 9'))


def test_match_and_apply_are_an_ingest(matched: "Crm") -> None:
    """In any order, one by one or all at once; applied twice they change nothing."""
    local = _twin(matched, "local")
    summary = local.json("ingest", "0.jsonl", "1.jsonl", "2.jsonl", status=3)
    for number, order in enumerate(permutations(["0.exits", "1.exits", "2.exits"])):
        crm = _twin(matched, str(number))
        for name in order:
            crm("apply", name, status=3)
        before = crm.tables()
        said = crm("apply", *order)
        assert said.stdout == "0 lines, 0 exits\n"
        assert said.stderr.count("taken in before; nothing was done twice") == 3
        assert crm.tables() == before
        assert _without_run(_all(crm)) == _without_run(_all(local))
        assert crm("ingest", "0.jsonl", "1.jsonl", "2.jsonl").stdout == "0 lines, 0 exits\n"
    at_once = _twin(matched, "at-once")
    assert at_once.json("apply", "0.exits", "1.exits", "2.exits", status=3) == summary
    assert len(at_once.json("rejects", "list")) == 3


def test_a_log_is_matched_from_where_it_was_read(matched: "Crm") -> None:
    """What is new behind it is taken in; what was matched but read meanwhile is left, and said."""
    crm = matched
    crm("apply", "0.exits", status=3)
    crm.log("0.jsonl", {"type": "replied", "time": "2026-03-04T00:00:00Z", "prospect": "p-2"})
    crm("snapshot", "export", "--overwrite", "crm.snapshot")
    crm("match", "--snapshot", "crm.snapshot", "0.jsonl", "--out", "more.exits")
    crm.log("0.jsonl", {"type": "replied", "time": "2026-03-05T00:00:00Z", "prospect": "p-3"})
    later = _twin(crm, "later")
    assert crm.json("apply", "more.exits")["lines"] == 1
    assert crm.json("ingest", "0.jsonl")["lines"] == 1
    later("ingest", "0.jsonl")
    later.log("0.jsonl", {"type": "replied", "time": "2026-03-06T00:00:00Z", "prospect": "p-3"})
    assert later("apply", "more.exits").stderr == "0.jsonl: taken in before; nothing was done twice\n"


def test_what_changed_since_the_snapshot_is_read_again(matched: "Crm") -> None:
    """Somebody new, somebody who entered later: the outcome is that of an ingest now, and it says what it read."""
    crm = matched
    crm("record", "add", "prospect:nobody", "--at", "2026-02-28T00:00:00Z")
    crm("enroll", "prospect:nobody", "--workflow", "nurture", "--at", "2026-03-01T00:00:00Z")
    local = _twin(crm, "local")
    summary = local.json("ingest", "0.jsonl", "1.jsonl", "2.jsonl", status=3)
    told = _twin(crm, "told")("apply", "0.exits", "1.exits", "2.exits", status=3).stderr
    assert "2.jsonl: read again for records that changed since the snapshot\n" in told
    assert crm.json("apply", "0.exits", "1.exits", "2.exits", status=3) == summary
    assert _all(crm) == _all(local)


def test_what_has_to_be_read_again_and_is_gone_is_an_error(matched: "Crm") -> None:
    """Nothing is changed, and those are named whom it concerns."""
    matched("record", "add", "prospect:nobody", "--at", "2026-02-28T00:00:00Z")
    (matched.directory / "2.jsonl").unlink()
    said = matched.refused("apply", "0.exits", "1.exits", "2.exits")
    assert "2.jsonl can't be read again for nobody" in said
    assert "nothing was changed" in said


def test_an_email_that_a_log_tells_is_known_in_all_logs(crm: "Crm") -> None:
    """Whichever of them tells it, as if all of them were read again."""
    crm("snapshot", "export", "crm.snapshot")
    at = {"prospect": "p-1", "time": "2026-03-02T00:00:00Z"}
    crm.log("0.jsonl", {"type": "replied", "prospect": "new@acme.example", "time": "2026-03-02T09:00:00Z"})
    crm.log("1.jsonl", {"type": "field_updated", "field": "email", "value": "New@acme.example", **at})
    crm("match", "--snapshot", "crm.snapshot", "0.jsonl", "1.jsonl", "--out", "all.exits")
    summary = crm.json("apply", "all.exits")
    assert (summary["unmatched"], summary["considered"], summary["exits"]) == (0, 2, 2)


def test_exits_are_applied_to_what_they_are_of(matched: "Crm", bare: "Crm") -> None:
    """Another store, other workflows, an older store and a damaged file are refused."""
    other = type(bare)(matched.directory.parent / f"{matched.directory.name}-other")
    other.directory.mkdir()
    other("init")
    exits = str(matched.directory / "0.exits")
    assert "these exits are of another store" in other.refused("apply", exits)
    older = _twin(matched, "older")
    matched("enroll", "prospect:p-4", "--workflow", "nurture")
    matched("snapshot", "export", "--overwrite", "crm.snapshot")
    matched("match", "--snapshot", "crm.snapshot", "0.jsonl", "--out", "new.exits")
    assert "newer than the store" in older.refused("apply", str(matched.directory / "new.exits"))
    matched("workflow", "remove", "onboarding", "--disenroll")
    assert "workflows have changed since the snapshot" in matched.refused("apply", "0.exits")
    for name, data in {"text": b"no exits", "cut.exits": (matched.directory / "0.exits").read_bytes()[:99]}.items():
        assert name in matched.refused("apply", matched.write(name, data))
    assert "there is no snapshot" in matched.refused("match", "--snapshot", "none", "0.jsonl", "--out", "x")
    assert "is no snapshot" in matched.refused("match", "--snapshot", "0.jsonl", "0.jsonl", "--out", "x")


def test_a_log_that_can_not_be_matched_stops_no_other(crm: "Crm") -> None:
    """One that is missing, a pipe; the others are matched, and the status says so."""
    crm("snapshot", "export", "crm.snapshot")
    log = crm.log("events.jsonl", *EVENTS)
    ran = crm("match", "--snapshot", "crm.snapshot", log, "none.jsonl", "-", "--out", "all.exits", status=3)
    assert ran.stdout == "all.exits: 1 logs, 7 lines, 6 considered, 6 kept\n"
    assert "cannot read none.jsonl" in ran.stderr
    assert "can be read only once" in ran.stderr
    assert "is there already" in crm.refused("match", "--snapshot", "crm.snapshot", log, "--out", "all.exits")


def test_rejects_come_back_bounded(crm: "Crm") -> None:
    """So many of a log are kept, all of them counted."""
    crm("snapshot", "export", "crm.snapshot")
    crm.write("noise.jsonl", "noise\n" * 50)
    crm("match", "--snapshot", "crm.snapshot", "noise.jsonl", "--max-rejects", "7", "--out", "noise.exits")
    assert crm.json("apply", "noise.exits", status=3)["rejected"] == 50
    assert len(crm.json("rejects", "list")) == 7


# --- a cluster ---


@pytest.fixture
def reading(object_store: "ObjectStore") -> dict[str, str]:
    """What a process needs in its environment to read objects; libraries may warn as they like."""
    return {**object_store.environment, "PYTHONWARNINGS": "default"}


def test_a_cluster_over_objects_is_an_ingest(crm: "Crm", object_store: "ObjectStore", reading: dict[str, str]) -> None:
    """Two processes on this host, logs behind URLs: the state is that of a local ingest, and nothing is read twice."""
    local = _twin(crm, "local")
    lines = "".join(json.dumps(event) + "\n" for event in EVENTS)
    urls = [
        object_store.put(f"{crm.directory.name}/{number}.jsonl", f"{number}\n{lines}".encode()) for number in (1, 2)
    ]
    summary = json.loads(local("ingest", *urls, "--json", status=3, env=reading).stdout)
    spread = json.loads(crm("ingest", "--engine", "dask", *urls, "--json", status=3, env=reading).stdout)
    assert spread == summary
    assert _all(crm) == _all(local)
    assert crm("ingest", "--engine", "dask", *urls, env=reading).stdout == "0 lines, 0 exits\n"
    assert crm("ingest", *urls, env=reading).stdout == "0 lines, 0 exits\n"
    changed = object_store.put(f"{crm.directory.name}/1.jsonl", lines.encode())
    object_store.remove(f"{crm.directory.name}/2.jsonl")
    ran = crm("ingest", "--engine", "dask", *urls, status=3, env=reading)
    assert ran.stdout.startswith("7 lines, ")
    assert f"cannot read {urls[1]}: there is no such object" in ran.stderr
    assert changed == urls[0]


def test_an_object_is_read_again_for_what_is_taken_back(
    crm: "Crm", object_store: "ObjectStore", reading: dict[str, str]
) -> None:
    """A retraction finds the next event that would have ended the enrollment; an object that is gone is said."""
    events = [{**EVENTS[0], "id": "e-1"}, {**EVENTS[0], "id": "e-2", "time": "2026-03-04T00:00:00Z"}]
    lines = "".join(json.dumps(event) + "\n" for event in events).encode()
    url = object_store.put(f"{crm.directory.name}/again.jsonl", lines)
    crm("ingest", url, env=reading)
    crm("retract", "e-1", "--because", "an out-of-office", env=reading)
    assert crm.left() == {"p-1": ("2026-03-04T00:00:00Z", "replied")}
    object_store.put(f"{crm.directory.name}/again.jsonl", lines.upper())
    assert "another log lies in its place" in crm("retract", "e-2", "--because", "x", status=3, env=reading).stderr


def test_the_brake_stops_a_cluster_s_exits(crm: "Crm") -> None:
    """Nothing is changed."""
    log = crm.log("events.jsonl", *EVENTS)
    crm("ingest", "--engine", "dask", "--max-exits", "1", log, status=4, env={"PYTHONWARNINGS": "default"})
    assert crm.left() == {}


def test_without_dask_it_says_what_to_install(crm: "Crm") -> None:
    """Nothing else of it is needed, or loaded, for anything else."""
    hidden = crm.directory / "hidden"
    hidden.mkdir()
    for name in ("distributed", "fsspec"):
        (hidden / f"{name}.py").write_text("raise ImportError('hidden')\n")
    env = {"PYTHONPATH": f"{hidden}:{Path(__file__).parents[2]}"}
    log = crm.log("events.jsonl", *EVENTS)
    assert "pip install 'crmflow[dask]'" in crm("ingest", "--engine", "dask", log, status=2, env=env).stderr
    assert "pip install 'crmflow[remote]'" in crm("ingest", "s3://logs/x", status=1, env=env).stderr
    crm("ingest", log, env=env)
