"""`convert` and `ingest` say the same of every log: what is converted and then read has the effect of what is read."""

import json
import shutil
from pathlib import Path
from typing import Any

import msgspec
import pytest

from crmflow.core.errors import CrmflowError
from crmflow.core.model import RECORD_TYPES, Definition, Exit, Moment, RecordType, Trigger, Workflow
from crmflow.core.triggers import TRIGGERS
from crmflow.operations import edit_record, enroll
from crmflow.operations.convert import convert
from crmflow.operations.ingest import Manner, Summary, Watcher, ingest
from crmflow.sources.terms import Options
from crmflow.store import enrollments, records, runs, workflows
from crmflow.store.connection import Store, create_store, open_store
from tests.sources.samples import NOW, Json, Sample, samples

SAMPLES = list(samples())
SILENT = Watcher(lambda _: None, lambda _: None)
BEGIN = Moment(NOW.replace(year=2010), NOW)
NAMED: dict[RecordType, set[str]] = {
    kind: {event[kind] for sample in SAMPLES for event in sample.expected["events"] if kind in event}
    for kind in RECORD_TYPES
}
WORKFLOWS = [
    *(
        Workflow(f"{kind}_{word}", kind, disenrollment_triggers=(Trigger(word, url=("*",) * (word == "page_visited")),))
        for word, its in TRIGGERS.items()
        for kind in its.types
    ),
    *(Workflow(name, "prospect", disenrollment_triggers=(Trigger("link_clicked"),)) for name in ("welcome", "nurture")),
]


@pytest.fixture(scope="module")
def world(folder: Path) -> Path:
    """A closed store in which everybody whom payloads name is in every workflow: one for each trigger, and theirs."""
    path = folder / "everybody.db"
    with create_store(path) as store:
        with store.change():
            definitions = [Definition(each, each.workflow, f"{each.workflow}.yaml", "") for each in WORKFLOWS]
            workflows.put(store, runs.begin(store, "workflow apply", BEGIN), definitions, BEGIN)
        for kind, names in NAMED.items():
            for name in sorted({each.casefold() if "@" in each else each for each in names}):
                edit_record.add(store, f"{kind}:{name}", [], BEGIN)
                for each in WORKFLOWS:
                    if each.type == kind:
                        enroll.enroll(store, f"{kind}:{name}", each.workflow, BEGIN)
    return path


def _state(store: Store) -> tuple[list[tuple[int, str, Exit | None]], dict[int, Any], set[int]]:
    """Return how everything stands; exits without the line, which converting changes."""
    every = list(enrollments.every(store, [each.workflow for each in WORKFLOWS]))
    exits = [(each.record_id, each.workflow, _without_line(each.exit)) for each in every]
    numbers = sorted({each.record_id for each in every})
    return exits, records.load(store, numbers), records.bounced(store, numbers)


def _without_line(exit_: Exit | None) -> Exit | None:
    return exit_ and msgspec.structs.replace(exit_, line=None)


def _counts(summary: Summary) -> list[object]:
    """Return the counts that converting leaves: rejects and what tells nothing are not written."""
    return [
        summary.unknown_types,
        summary.unmatched,
        summary.considered,
        summary.suspect,
        summary.exits,
        summary.moved,
        summary.faults,
    ]


def _converted(sample: Sample, said: list[str]) -> tuple[list[Json], list[str]]:
    found = list(convert([str(sample.path)], sample.options, Moment(NOW, NOW), said.append))
    return [line for each in found for line in each.lines], [fault for each in found for fault in each.faults]


@pytest.mark.parametrize("sample", SAMPLES, ids=str)
def test_what_is_converted_and_read_is_as_what_is_read(sample: Sample, world: Path, folder: Path) -> None:
    """Every enrollment, field and bounce stands the same, and every count that converting leaves."""
    lines, faults = _converted(sample, [])
    assert len(faults) == len(sample.expected["rejected"])
    log = folder / "converted.jsonl"
    log.write_text("".join(json.dumps(each) + "\n" for each in lines))
    outcomes = []
    for path, options in ((sample.path, sample.options), (log, None)):
        copy = folder / "copy.db"
        shutil.copy(world, copy)
        with open_store(copy) as store:
            manner = Manner(options) if options else Manner()
            summary = ingest(store, [str(path)], Moment(NOW, NOW), SILENT, manner)
            outcomes.append((_counts(summary), _state(store)))
    assert outcomes[0] == outcomes[1]


def test_faults_are_said_with_their_place(tmp_path: Path) -> None:
    """So are logs that can't be read; where none can be, that is an error."""
    log, missing = tmp_path / "events.jsonl", str(tmp_path / "missing.jsonl")
    log.write_text('x\n{"type": "replied", "time": "2026-03-03T10:00:00Z", "prospect": "p-1"}\n{"type"')
    [of_log, of_missing] = convert([str(log), missing], Options(), Moment(NOW, NOW), SILENT.say)
    assert of_log.lines == [{"type": "replied", "time": "2026-03-03T10:00:00Z", "prospect": "p-1"}]
    assert of_log.faults == [
        f"{log}:1: not JSON: Expecting value at character 1",
        f"{log}:3: the last line is not complete",
    ]
    assert of_missing.faults == [f"cannot read {missing}: No such file or directory"]
    with pytest.raises(CrmflowError, match="none of the logs could be read"):
        list(convert([missing], Options(), Moment(NOW, NOW), SILENT.say))


def test_a_format_that_is_not_ours_is_said(tmp_path: Path) -> None:
    """What was recognised is told once for each log, and named formats are taken as they are."""
    log = tmp_path / "events.json"
    log.write_text('{"sg_event_id": "e-1", "event": "open", "email": "a@b.example", "timestamp": 1772532000}\n')
    said: list[str] = []
    [found] = convert([str(log)], Options(), Moment(NOW, NOW), said.append)
    assert said == [f"{log}: read as SendGrid, Event Webhook"]
    assert [each["id"] for each in found.lines] == ["sendgrid:e-1"]
    [found] = convert([str(log)], Options("crmflow"), Moment(NOW, NOW), said.append)
    assert found.faults == [f"{log}:1: event without 'type'"]
