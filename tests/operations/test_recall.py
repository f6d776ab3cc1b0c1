"""Recalling: what ingests have read is read again, wherever it lies now, for some records only."""

import gzip
import json
import os
import shutil
import subprocess
import sys
import threading
import time
from datetime import timedelta
from typing import Any

from crmflow.core.identity import identity
from crmflow.core.model import Moment, Trigger, Workflow
from crmflow.core.triggers import Rules
from crmflow.operations import edit_record, rejects
from crmflow.operations.recall import Memory, recall
from crmflow.sources.searching import FEW_NAMES
from tests.operations.places import LOG, NOW, Place, said


def test_what_was_read_comes_again(place: Place) -> None:
    """Every event about the records asked for comes once, with the line and the reading that told it first."""
    place.log(said(1), said(2, "p-2"))
    first = place.ingest()
    place.log(said(3), b"\n", said(4))
    second = place.ingest()
    events = place.recall().events
    assert [(each.event.id, each.event.line, each.run, each.runs) for each in events] == [
        ("e-1", 1, first, (first,)),
        ("e-3", 3, second, (second,)),
        ("e-4", 5, second, (second,)),
    ]
    assert {each.source for each in events} == {str(place.path())}
    assert {each.record for each in events} == {place.number("p-1")}
    assert place.ids("p-1", "p-2") == ["e-1", "e-2", "e-3", "e-4"]


def test_nobody_asked_for(place: Place) -> None:
    """Where no record is asked for, nothing is read."""
    place.log(said(1))
    place.ingest()
    place.path().unlink()
    with place.store.snapshot():
        assert recall(place.store, []) == Memory([], [])


def test_what_was_not_read_does_not_come(place: Place) -> None:
    """What a log tells beyond what was read of it, and what logs tell that nobody read, does not come."""
    place.log(said(1))
    place.ingest()
    place.log(said(2))
    place.log(said(3), name="other.jsonl")
    assert place.ids() == ["e-1"]


def test_a_last_line_without_newline(place: Place) -> None:
    """A line that was read before its newline came has its number, as have those behind it."""
    place.log(said(1), json.dumps(said(2)).encode())
    place.ingest()
    place.log(b"\n", said(3))
    place.ingest()
    place.ingest(from_start=True)
    assert [(each.event.id, each.event.line) for each in place.recall().events] == [("e-1", 1), ("e-2", 2), ("e-3", 3)]


def test_names_are_those_of_the_store(place: Place) -> None:
    """A record is known by its key, and a prospect by every email that it has or had, however they are written."""
    moment = Moment(NOW, NOW)
    edit_record.set_fields(place.store, "prospect:p-1", ["email=Ana.New@ACME.example"], moment)
    place.log(said(1, "ANA@acme.example"), said(2, "ana.new@acme.EXAMPLE"), said(3, "P-1"))
    place.log(json.dumps(said(4, "ZOË@acme.example"), ensure_ascii=False).encode() + b"\n")
    place.log(json.dumps(said(5, "zoë@acme.example")).encode() + b"\n")
    place.log(json.dumps(said(6)).replace("p-1", "\\u0070-1").encode() + b"\n")
    place.ingest()
    assert place.ids("p-1") == ["e-1", "e-2", "e-6"]
    assert place.ids("p-2") == ["e-4", "e-5"]


def test_an_email_that_is_the_key_of_another(place: Place) -> None:
    """A name is that of the record that an ingest would find by it."""
    edit_record.add(place.store, "prospect:boss@acme.example", [], Moment(NOW, NOW))
    place.log(said(0, type="field_updated", field="email", value="boss@acme.example"))
    place.log(said(1, "boss@acme.example"), said(2, "Boss@acme.example"))
    place.ingest()
    assert place.ids("p-1") == ["e-0", "e-2"]
    assert place.ids("boss@acme.example") == ["e-1"]


def test_deals_and_organizations(place: Place) -> None:
    """Events about records of every type come, also where a key is written as a number."""
    place.log({"id": "w", "type": "deal_won", "time": "2026-03-02T00:00:00Z", "deal": "D-1"})
    place.log({"id": "u", "type": "field_updated", "time": "2026-03-02T00:00:00Z", "organization": 9, "field": "a"})
    place.log(said(1, "9"), said(2, "D-1"))
    place.ingest()
    with place.store.snapshot():
        memory = recall(place.store, [place.number("D-1", "deal"), place.number("9", "organization")])
    assert [each.event.id for each in memory.events] == ["w", "u"]


def test_only_what_is_of_interest(place: Place) -> None:
    """With an interest, events come that it could want; without one all of them."""
    place.log(said(1), said(2, type="page_visited", url="https://acme.example/a"), said(3, type="hard_bounced"))
    place.ingest()
    rules = Rules([Workflow("w", "prospect", disenrollment_triggers=(Trigger("replied"),))])
    assert [each.event.id for each in place.recall(interest=rules).events] == ["e-1", "e-3"]
    assert place.ids() == ["e-1", "e-2", "e-3"]


def test_a_run_that_was_undone(place: Place) -> None:
    """What only undone runs read does not come; what another one read too, comes from that one."""
    place.log(said(1))
    first = place.ingest()
    place.log(said(2))
    second = place.ingest()
    place.log(said(3))
    third = place.ingest()
    place.undo(second)
    assert [(each.event.id, each.event.line) for each in place.recall().events] == [("e-1", 1), ("e-3", 3)]
    again = place.ingest(from_start=True)
    assert [each.runs for each in place.recall().events] == [(first, again), (again,), (third, again)]
    place.undo(first)
    assert [each.run for each in place.recall().events] == [again, again, third]
    place.undo(again)
    assert place.ids() == ["e-3"]


def test_logs_that_nobody_reads_any_more_are_not_missed(place: Place) -> None:
    """A log that only undone runs read may be gone."""
    place.log(said(1))
    place.undo(place.ingest())
    place.path().unlink()
    assert place.ids() == []


def test_rotation_by_renaming(place: Place) -> None:
    """A log that was rotated and packed is found beside its place, while a new one lies there."""
    place.log(said(1), said(2))
    place.ingest()
    place.path().rename(place.path(f"{LOG}.1"))
    place.log(said(3))
    place.ingest()
    assert place.ids() == ["e-1", "e-2", "e-3"]
    place.path(f"{LOG}.2.gz").write_bytes(gzip.compress(place.path(f"{LOG}.1").read_bytes()))
    place.path(f"{LOG}.1").unlink()
    assert place.ids() == ["e-1", "e-2", "e-3"]
    place.path(f"{LOG}.2.gz").rename(place.path("events-20260301.jsonl.gz"))
    assert place.ids() == ["e-1", "e-2", "e-3"]


def test_a_log_that_was_last_read_under_a_rotated_name(place: Place) -> None:
    """The next rotation of a log that was read as `.1` is found, too."""
    place.log(said(1))
    place.path().rename(place.path(f"{LOG}.1"))
    place.ingest(f"{LOG}.1")
    place.path(f"{LOG}.1").rename(place.path(f"{LOG}.2"))
    assert place.ids() == ["e-1"]


def test_a_log_that_lies_elsewhere(place: Place) -> None:
    """A log that was moved away is gone, unless it is given."""
    place.log(said(1))
    run = place.ingest()
    place.path("archive").mkdir()
    place.path().rename(place.path("archive") / "march")
    assert [(each.path, each.run, each.read_at) for each in place.recall().gone] == [(str(place.path()), run, NOW)]
    memory = place.recall(given=["-", str(place.path("nothing")), str(place.path("archive") / "march")])
    assert [each.event.id for each in memory.events] == ["e-1"]
    assert memory.gone == []


def test_a_log_that_was_copied_and_truncated(place: Place) -> None:
    """What was truncated is gone, unless its copy lies beside it; the new content has been read as a log of its own."""
    place.log(said(1), said(2))
    first = place.ingest()
    shutil.copy(place.path(), place.path(f"{LOG}.1"))
    place.path().write_bytes(b"")
    place.log(said(3))
    place.ingest()
    assert place.ids() == ["e-1", "e-2", "e-3"]
    place.path(f"{LOG}.1").unlink()
    memory = place.recall()
    assert [each.event.id for each in memory.events] == ["e-3"]
    assert [(each.run, "another log" in each.why) for each in memory.gone] == [(first, True)]


def test_a_log_that_was_replaced(place: Place) -> None:
    """A file of the same name, first line and length is not the log: content decides."""
    place.log(said(1), said(2))
    place.ingest()
    place.path().unlink()
    place.log(said(1), said(3))
    memory = place.recall()
    assert memory.events == []
    assert len(memory.gone) == 1


def test_what_came_through_a_pipe(place: Place) -> None:
    """What was read from a pipe or from standard input is gone, and said to be."""
    os.mkfifo(place.path("pipe"))
    writer = threading.Thread(target=place.path("pipe").write_bytes, args=[json.dumps(said(1)).encode()])
    writer.start()
    first = place.ingest("pipe")
    writer.join()
    subprocess.run(
        [sys.executable, "-m", "crmflow", "--db", str(place.store.path), "ingest", "-"],
        input=json.dumps(said(2)).encode(),
        check=True,
        capture_output=True,
    )
    assert [(each.path, each.run) for each in place.recall().gone] == [
        (str(place.path("pipe")), first),
        ("standard input", first + 1),
    ]


def test_pipes_and_stores_beside_a_log_are_left_alone(place: Place) -> None:
    """Nobody waits for a pipe that is called like a log, and the store's own files are not opened."""
    place.log(said(1), name="crm.jsonl")
    place.ingest("crm.jsonl")
    os.mkfifo(place.path("crm.jsonl.1"))
    place.path("crm.jsonl").rename(place.path("crm.db-events.jsonl"))
    assert place.ids() == ["e-1"]
    place.path("crm.db-events.jsonl").unlink()
    assert len(place.recall().gone) == 1
    assert [place.store.owns(str(place.path(name))) for name in ("crm.db", "crm.db-wal", "crm.db-events.jsonl")] == [
        True,
        True,
        False,
    ]


def test_an_archive_that_became_bad(place: Place) -> None:
    """An archive that can't be unpacked any more is gone, and the other logs are read."""
    place.path("old.gz").write_bytes(gzip.compress(json.dumps(said(1)).encode() + b"\n"))
    place.ingest("old.gz")
    place.log(said(2))
    place.ingest()
    place.path("old.gz").write_bytes(place.path("old.gz").read_bytes()[:-20])
    memory = place.recall()
    assert [each.event.id for each in memory.events] == ["e-2"]
    assert [each.path for each in memory.gone] == [str(place.path("old.gz"))]


def test_rejects_stay_rejects(place: Place) -> None:
    """A line that was not understood when it was read does not come: nor one that lay in the future then."""
    place.log(said(1), b"{}\n", said(24 * 20), said(2))
    place.ingest()
    assert place.ids() == ["e-1", "e-2"]
    place.ingest(now=NOW + timedelta(days=20), from_start=True)
    assert place.ids() == ["e-1", "e-480", "e-2"]


def test_rejects_that_were_understood_later(place: Place) -> None:
    """A line that was understood when it was tried again comes, unless it had been forgotten before, or that is undone.

    It is told by the run that read it.
    """
    later = Moment(NOW + timedelta(days=20), NOW + timedelta(days=20))
    place.log(said(24 * 20))
    read = place.ingest()
    retried = rejects.retry(place.store, later).run
    assert retried is not None
    assert [(each.event.id, each.run) for each in place.recall().events] == [("e-480", read)]
    place.undo(retried)
    assert place.ids() == []
    place.log(said(24 * 20 + 1), name="other.jsonl")
    place.ingest("other.jsonl")
    rejects.clear(place.store, later)
    place.log(said(24 * 20 + 2), name="third.jsonl")
    place.ingest("third.jsonl")
    rejects.retry(place.store, later)
    assert place.ids() == ["e-482"]


def test_a_line_too_long_is_none(place: Place) -> None:
    """A line that is too long stays a reject, and the lines behind it keep their numbers and places."""
    long = json.dumps(said(1)).encode() + b" " * 1_100_000 + b"\n"
    place.log(long, said(2), long, said(3))
    place.ingest()
    assert [(each.event.id, each.event.line) for each in place.recall().events] == [("e-2", 2), ("e-3", 4)]
    assert [(each.event.id, each.event.line) for each in _recall_many(place)] == [("e-2", 2), ("e-3", 4)]


def _recall_many(place: Place) -> list[Any]:
    """Recall the events about p-1 among those about many others."""
    moment = Moment(NOW, NOW)
    others = [f"q-{number}" for number in range(FEW_NAMES)]
    for name in others:
        edit_record.add(place.store, f"prospect:{name}", [], moment)
    return [each for each in place.recall("p-1", *others).events if each.record == place.number("p-1")]


def test_many_records_of_a_large_log(place: Place) -> None:
    """Where many records are asked for, other processes look through a log, and the same comes as for few."""
    padding = "x" * 900
    place.log(*(said(number % 200, f"p-{number % 7}", text=padding) for number in range(12_000)))
    place.ingest()
    few = place.recall().events
    assert [each.event.line for each in few] == list(range(2, 12_001, 7))
    assert _recall_many(place) == few


def test_a_large_log_is_recalled_sooner_than_read(place: Place) -> None:
    """To recall one record takes less time than the ingest took, and nothing but the result stays in memory."""
    place.log(*(said(number % 200, f"q-{number}") for number in range(200_000)), said(7))
    started = time.perf_counter()
    place.ingest()
    read = time.perf_counter()
    assert place.ids() == ["e-7"]
    assert time.perf_counter() - read < read - started


def test_events_have_the_identity_that_they_had(place: Place) -> None:
    """An event that was recalled is the same event as in the log, whatever the line."""
    place.log(said(1), {**said(1), "id": None}, {**said(1), "id": None})
    place.ingest()
    first, second, third = (each.event for each in place.recall().events)
    assert identity(first) == "id:e-1"
    assert identity(second) == identity(third)
