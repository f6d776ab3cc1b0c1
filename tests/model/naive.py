"""The whole of crmflow in dictionaries and lists: slow, plain, without a database.

It is written from the contract alone and shares no code with the program: where the two disagree, one of them is wrong.
Commands go by the program's words. Each returns as JSON what there is to compare, with `ran` for whether the store was
changed, or raises `Refused`. Log files are given as their bytes, tables as their rows with the lines they stand in.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple

from tests.model.plain import (
    KNOWN_TYPES,
    START,
    Enrollment,
    Exit,
    Json,
    Record,
    Told,
    cell,
    faces,
    is_same,
    kind_of,
    length,
    shown,
    takes,
    understood,
)

BY_HAND = "by hand"
"""The note of everybody who is taken out by hand."""

CLASSES = ("rejected", "without_effect", "unmatched", "considered")
NAMING_WORKFLOW = ("link_clicked", "step_completed")
ALWAYS_WANTED = ("hard_bounced", "step_completed", "deal_won", "deal_lost")
HINDRANCES = {"invalid", "unknown", "not_enrolled"}


class Refused(Exception):  # noqa: N818 - no error of the model: what the program must refuse, too
    """A command can't be done; nothing was changed."""


@dataclass(eq=False)
class Log:
    """A log, known by what was read of it."""

    read: bytes = b""


class Kept(NamedTuple):
    """A line that was not understood."""

    log: Log
    source: str
    line: int
    offset: int
    text: str


Rows = list[tuple[int, str]]
"""A selection: the line in the file and the name that stands in it."""


@dataclass
class Naive:
    """A store.

    `entered` are the workflows that ever had a record in them, with its type; `hands` counts the changes by hand.
    """

    records: list[Record] = field(default_factory=list)
    workflows: dict[str, Json] = field(default_factory=dict)
    enrollments: list[Enrollment] = field(default_factory=list)
    logs: list[Log] = field(default_factory=list)
    rejects: list[Kept] = field(default_factory=list)
    entered: dict[str, str] = field(default_factory=dict)
    hands: int = 0

    # --- what is there ---

    def find(self, kind: str, name: str) -> Record | None:
        """Return the record that a name means: by key, then by email, then by a former email."""
        of_type = [each for each in self.records if each.type == kind]
        by_key = [each for each in of_type if each.key == name]
        by_email = [each for each in of_type if each.email and each.email.casefold() == name.casefold()]
        by_former = [each for each in of_type if name.casefold() in each.addresses]
        return next(iter([*by_key, *by_email, *by_former]), None)

    def require(self, kind: str, name: str) -> Record:
        """Return the record that a name means; raises `Refused`."""
        record = self.find(kind, name)
        if record is None:
            raise Refused(name)
        return record

    def workflow(self, name: str) -> Json:
        """Return a workflow in force; raises `Refused`."""
        if name not in self.workflows:
            raise Refused(name)
        return self.workflows[name]

    def history(self, record: Record, workflow: str | None = None) -> list[Enrollment]:
        """Return the enrollments of a record, in one workflow or in all."""
        return [each for each in self.enrollments if each.record is record and workflow in {None, each.workflow}]

    # --- records ---

    def add(self, kind: str, key: str, fields: Json, links: list[str] | None = None) -> Json:
        """Do `record add`."""
        fields = dict(fields)
        if kind == "prospect" and "@" in key:
            fields.setdefault("email", key)
        if self.find(kind, key):
            raise Refused(key)
        self._check(kind, None, fields, links or [])
        self._new(kind, key, fields, links or [])
        return {"ran": True}

    def set(self, kind: str, key: str, fields: Json, at: datetime, links: list[str] | None = None) -> Json:
        """Do `record set`."""
        record = self.require(kind, key)
        self._check(kind, record, fields, links or [])
        before = self._standing()
        is_changed = self._edit(record, fields, at)
        is_changed |= links is not None and self._link(record, links)
        return {"ran": is_changed, **self._consequences(before)}

    def import_(self, kind: str, rows: list[tuple[int, Json]], at: datetime, source: str, *, is_typed: bool) -> Json:
        """Do `record import`: rows are their line in the file and their cells, as text unless `is_typed`."""
        before, counts = self._standing(), dict.fromkeys(("added", "changed", "unchanged", "invalid"), 0)
        self.hands += 1
        for line, cells in rows:
            try:
                counts[self._import_row(kind, cells, at, {"source": source, "line": line}, is_typed=is_typed)] += 1
            except Refused:
                counts["invalid"] += 1
        return {"ran": bool(counts["added"] or counts["changed"]), **counts, **self._consequences(before)}

    def _import_row(self, kind: str, cells: Json, at: datetime, told: Json, *, is_typed: bool) -> str:
        fields = {name: value for name, value in cells.items() if name not in {"key", "prospects"}}
        links = (cells.get("prospects") or "").split() if "prospects" in cells else None
        if kind == "prospect" and not fields.get("email"):
            fields.pop("email", None)
        key = cells["key"] if "key" in cells else fields.get("email")
        if not key:
            raise Refused("no key")
        with_key = [each for each in self.records if (each.type, each.key) == (kind, key)]
        record = self.find(kind, key) if "key" not in cells else next(iter(with_key), None)
        self._check(kind, record, fields, links or [])
        if record is None:
            self._new(
                kind, key, {name: value for name, value in fields.items() if value not in {None, ""}}, links or []
            )
            return "added"
        if record.email and str(fields.get("email", "")).casefold() == record.email.casefold():
            del fields["email"]
        if not is_typed:
            now = record.all_fields
            fields = {name: value or None for name, value in fields.items() if value != cell(now.get(name))}
        is_changed = self._edit(record, fields, at, told)
        is_changed |= links is not None and self._link(record, links)
        return "changed" if is_changed else "unchanged"

    def remove(self, kind: str, name: str) -> Json:
        """Do `record remove`."""
        record = self.require(kind, name)
        named = [each.fields.get("organization") for each in self.records if each.type != "organization"]
        if kind == "organization" and record.key in named:
            raise Refused(name)
        history = self.history(record)
        names = {each.casefold() for each in {record.key, *record.addresses}}
        gone = [each for each in self.rejects if any(name in each.text.casefold() for name in names)]
        self.records.remove(record)
        for each in self.records:
            each.prospects = [other for other in each.prospects if other is not record]
        self.enrollments = [each for each in self.enrollments if each not in history]
        self.rejects = [each for each in self.rejects if each not in gone]
        return {"ran": True, "enrollments": len(history), "rejects": len(gone)}

    def _check(self, kind: str, record: Record | None, fields: Json, links: list[str]) -> None:
        """Refuse an email that is another prospect's or none, and records that are not there."""
        if kind == "prospect" and fields.get("email") is not None:
            email = str(fields["email"])
            if not re.fullmatch(r"\S+@\S+", email):
                raise Refused(email)
            owners = [each for each in self.records if (each.email or "").casefold() == email.casefold()]
            if owners and record not in owners:
                raise Refused(email)
        if kind != "organization" and fields.get("organization"):
            self.require("organization", fields["organization"])
        for name in links:
            self.require("prospect", name)

    def _new(self, kind: str, key: str, fields: Json, links: list[str]) -> None:
        record = Record(kind, key, [(name, (START, 0, "", ""), value) for name, value in fields.items()])
        self.records.append(record)
        self._link(record, links)

    def _link(self, record: Record, links: list[str]) -> bool:
        before, found = record.prospects, [self.require("prospect", name) for name in links]
        record.prospects = [each for each in self.records if each in found]
        return set(before) != set(found)

    def _edit(self, record: Record, fields: Json, at: datetime, told: Json | None = None) -> bool:
        """Take changes by hand; they are updates like those of a log."""
        self.hands += 1
        now = record.all_fields
        changed = [
            name
            for name, value in fields.items()
            if not is_same(now.get(name), value) or (name not in now and value is not None)
        ]
        for name in changed:
            event = {"type": "field_updated", record.type: record.key, "field": name, "value": fields[name]}
            self._happen(record, {**event, "at": at}, told or {"source": None, "line": None}, hand=self.hands)
        return bool(changed)

    # --- workflows ---

    def apply(self, definitions: list[Json]) -> Json:
        """Do `workflow apply`."""
        for each in definitions:
            if self.entered.get(each["workflow"], each["type"]) != each["type"]:
                raise Refused(each["workflow"])
        changed = [each for each in definitions if self.workflows.get(each["workflow"]) != each]
        self.workflows |= {each["workflow"]: each for each in changed}
        return {"ran": bool(changed)}

    def remove_workflow(self, name: str, at: datetime, *, with_disenrolling: bool) -> Json:
        """Do `workflow remove`."""
        self.workflow(name)
        active = [each for each in self.enrollments if each.workflow == name and each.exit is None]
        if active and (not with_disenrolling or any(each.at > at for each in active)):
            raise Refused(name)
        before = self._standing()
        for each in active:
            self._claim(each.record, name, Exit(at, "manual", note=f"workflow {name} was removed"))
        del self.workflows[name]
        return {"ran": True, "disenrolled": self._consequences(before)["exits"]}

    # --- enrollments ---

    def enroll(self, name: str, workflow: str, at: datetime) -> Json:
        """Do `enroll`."""
        record = self.require(self.workflow(workflow)["type"], name)
        if self._judge_enrolling(record, workflow, at) != "done":
            raise Refused(name)
        self._enter(workflow, [record], at)
        return {"ran": True}

    def bulk_enroll(self, rows: Rows, workflow: str, at: datetime, *, all_or_nothing: bool) -> Json:
        """Do `bulk-enroll`: rows are their line in the file and the name in it."""
        kind = self.workflow(workflow)["type"]
        outcomes = self._bulk(
            kind, rows, lambda record: self._judge_enrolling(record, workflow, at), all_or_nothing=all_or_nothing
        )
        chosen = [self.require(kind, name) for _, name, outcome in outcomes if outcome == "done"]
        self._enter(workflow, chosen, at)
        return _bulk_json(outcomes)

    def _enter(self, workflow: str, records: list[Record], at: datetime) -> None:
        self.enrollments += [Enrollment(workflow, record, at) for record in records]
        if records:
            self.entered[workflow] = records[0].type

    def _judge_enrolling(self, record: Record, workflow: str, at: datetime) -> str:
        exits = [each.exit for each in self.history(record, workflow)]
        if None in exits:
            return "already_in"
        return "not_enrolled" if record.is_bounced or any(each and at < each.at for each in exits) else "done"

    def disenroll(self, kind: str, name: str, workflow: str | None, at: datetime, *, from_all: bool) -> Json:
        """Do `disenroll`."""
        if workflow and self.workflow(workflow)["type"] != kind:
            raise Refused(name)
        record = self.require(kind, name)
        judged = {
            each.workflow: self._judge_leaving(record, each.workflow, at) for each in self.history(record, workflow)
        }
        leaving = sorted(each for each, outcome in judged.items() if outcome == "done")
        if len(leaving) > 1 and not from_all:
            raise Refused(name)
        if not leaving and not from_all and "already_out" not in judged.values():
            raise Refused(name)
        for each in leaving:
            self._claim(record, each, Exit(at, "manual", note=BY_HAND))
        return {"ran": bool(leaving), "workflows": leaving}

    def bulk_disenroll(self, rows: Rows, workflow: str, at: datetime, *, all_or_nothing: bool) -> Json:
        """Do `bulk-disenroll`: rows are their line in the file and the name in it."""
        kind = self.workflow(workflow)["type"]
        outcomes = self._bulk(
            kind, rows, lambda record: self._judge_leaving(record, workflow, at), all_or_nothing=all_or_nothing
        )
        for _, name, outcome in outcomes:
            if outcome == "done":
                self._claim(self.require(kind, name), workflow, Exit(at, "manual", note=BY_HAND))
        return _bulk_json(outcomes)

    def _judge_leaving(self, record: Record, workflow: str, at: datetime) -> str:
        by_hand = Exit(at, "manual")
        begun = [each for each in self.history(record, workflow) if each.at <= at]
        if any(each.exit is None or by_hand.order < each.exit.order for each in begun):
            return "done"
        return "already_out" if begun else "not_enrolled"

    def _bulk(
        self, kind: str, rows: Rows, judge: Callable[[Record], str], *, all_or_nothing: bool
    ) -> list[tuple[int, str, str]]:
        if not rows:
            raise Refused("nothing selected is never everything")
        seen: list[Record] = []
        outcomes = []
        for line, name in rows:
            record = self.find(kind, name) if name else None
            outcome = "invalid" if not name else "unknown" if record is None else "duplicate" if record in seen else ""
            if record is not None and not outcome:
                outcome = judge(record)
                seen.append(record)
            outcomes.append((line, name, outcome))
        if all_or_nothing and {outcome for *_, outcome in outcomes} & HINDRANCES:
            raise Refused("all or nothing")
        return outcomes

    def advance(self, at: datetime, only: str | None = None) -> Json:
        """Do `advance`."""
        before, done = self._standing(), []
        for name in [only] if only else sorted(self.workflows):
            steps = self.workflow(name).get("steps", [])
            for each in [each for each in self.enrollments if each.workflow == name and each.exit is None]:
                for place, due_at in self._due(each, steps, at):
                    step, record = steps[place]["name"], each.record
                    done.append({"workflow": name, "record": record.key, "step": step, "due_at": shown(due_at)})
                    self._complete(record, name, step, at)
        exits = self._consequences(before)["exits"]
        return {
            "ran": bool(done),
            "steps": sorted(done, key=lambda step: (step["workflow"], step["record"])),
            "exits": exits,
        }

    def _due(self, each: Enrollment, steps: list[Json], at: datetime) -> list[tuple[int, datetime]]:
        names = [step["name"] for step in steps]
        since, place, due = each.at, 0, []
        if each.last:
            since = each.last.at
            place = names.index(each.last.step) + 1 if each.last.step in names else each.last.place + 1
        while place < len(steps) and (due_at := since + length(steps[place]["after"])) <= at:
            due.append((place, due_at))
            since, place = at, place + 1
        return due

    # --- logs ---

    def ingest(self, files: dict[str, bytes], now: datetime, *, from_start: bool) -> Json:
        """Do `ingest` on files, given as their paths and (unpacked) bytes."""
        before, sources = self._standing(), []
        summary: Json = {"unknown_types": {}} | dict.fromkeys(CLASSES, 0) | {"lines": 0, "incomplete": 0}
        for path, data in files.items():
            beginning = [log for log in self.logs if data.startswith(log.read)]
            known = max(beginning, key=lambda log: len(log.read), default=None)
            start = 0 if known is None or from_start else len(known.read)
            log = known or Log()
            end = self._read(log, path, data, start, now, summary)
            if end > start:
                self.logs += [log] if known is None else []
                log.read = max(log.read, data[:end], key=len)
                sources.append({"path": path, "from_offset": start, "to_offset": end})
        return {"ran": bool(sources), **summary, "sources": sources, **self._consequences(before)}

    def _read(self, log: Log, path: str, data: bytes, start: int, now: datetime, summary: Json) -> int:
        """Read from a byte on; returns the byte to go on at."""
        offset = start
        for text in re.findall(rb"[^\n]*\n|[^\n]+", data[start:]):
            line = data[:offset].count(b"\n") + 1
            outcome = self._take(text, {"source": path, "line": line}, now) if text.strip() else "blank"
            if outcome == "rejected" and not text.endswith(b"\n"):
                summary["incomplete"] += 1
                return offset
            if outcome == "rejected" and not any(each.log is log and each.offset == offset for each in self.rejects):
                self.rejects.append(Kept(log, path, line, offset, text.decode().rstrip("\n")))
            if outcome in CLASSES:
                summary[outcome] += 1
            elif outcome != "blank":
                summary["unknown_types"][outcome] = summary["unknown_types"].get(outcome, 0) + 1
            summary["lines"] += outcome != "blank"
            offset += len(text)
        return offset

    def retry(self, now: datetime) -> Json:
        """Do `rejects retry`."""
        before = self._standing()
        told = [(each, {"source": each.source, "line": each.line}) for each in self.rejects]
        still = [each for each, place in told if self._take(each.text.encode(), place, now) == "rejected"]
        understood, self.rejects = len(self.rejects) - len(still), still
        return {"ran": bool(understood), "understood": understood, "rejected": len(still), **self._consequences(before)}

    def clear(self) -> Json:
        """Do `rejects clear`."""
        count, self.rejects = len(self.rejects), []
        return {"ran": bool(count), "cleared": count}

    # --- events ---

    def _take(self, text: bytes, told: Json, now: datetime) -> str:
        """Take in one line; returns the class that it is counted in, or its unknown type."""
        event = understood(text, now)
        if event is None:
            return "rejected"
        if event["type"] not in KNOWN_TYPES:
            return str(event["type"])
        if not self._is_wanted(event):
            return "without_effect"
        record = self.find(kind_of(event), event[kind_of(event)])
        is_nowhere = event["type"] in NAMING_WORKFLOW and event["workflow"] not in self.workflows
        if record is None or is_nowhere:
            return "unmatched"
        self._happen(record, event, told)
        return "considered"

    def _is_wanted(self, event: Json) -> bool:
        if event["type"] in ALWAYS_WANTED or (event["type"] == "field_updated" and "value" in event):
            return True
        of_type = [each for each in self.workflows.values() if each["type"] == kind_of(event)]
        return any(
            takes(trigger, None, event) for each in of_type for trigger in each.get("disenrollment_triggers", [])
        )

    def _happen(self, record: Record, event: Json, told: Json, hand: int = 0) -> None:
        """Let an event have its effects on a record: on its fields, on its email, on its enrollments."""
        at, event_id = event["at"], event.get("id")
        for each in faces(event) or [event]:
            if each["type"] == "field_updated" and "value" in each:
                record.change(each["field"], each["value"], at, event_id, hand)
        if event["type"] == "hard_bounced":
            record.bounces.append((at, event["prospect"].casefold()))
        named = {"id": event_id, "type": event["type"], "time": shown(at), **told}
        of_type = [each for each in self.workflows.values() if each["type"] == record.type]
        for workflow in of_type:
            name, triggers = workflow["workflow"], workflow.get("disenrollment_triggers", [])
            taken = {each["type"] for each in faces(event) for trigger in triggers if takes(trigger, name, each)}
            for trigger in taken:
                self._claim(record, name, Exit(at, "trigger", trigger, named))
            if event["type"] == "step_completed" and event["workflow"] == name:
                self._complete(record, name, event["step"], at, named)

    def _complete(self, record: Record, workflow: str, step: str, at: datetime, named: Json | None = None) -> None:
        names = [each["name"] for each in self.workflows[workflow].get("steps", [])]
        if step not in names:
            return
        told = Told(step, names.index(step), at, named["id"] if named else None)
        self._claim(record, workflow, Exit(at, "completed", None, named) if step == names[-1] else None, told)

    def _claim(self, record: Record, workflow: str, exit_: Exit | None, told: Told | None = None) -> None:
        for each in self.history(record, workflow):
            each.take(self.workflows.get(workflow, {}).get("steps", []), exit_, told)

    # --- what is said ---

    def _standing(self) -> list[tuple[Enrollment, Exit | None]]:
        return [(each, each.exit) for each in self.enrollments]

    @staticmethod
    def _consequences(before: list[tuple[Enrollment, Exit | None]]) -> Json:
        changed = [exit_ for each, exit_ in before if each.exit != exit_]
        return {"exits": changed.count(None), "moved": len(changed) - changed.count(None)}

    def listed(self) -> list[Json]:
        """Return the enrollments as `enrollment list --json` has them, without the numbers of runs."""
        return [
            each.as_json()
            for each in sorted(self.enrollments, key=lambda each: (each.workflow, each.record.key, each.at))
        ]

    def known(self) -> list[Json]:
        """Return all records with their fields and links, by type and key."""
        return [each.as_json() for each in sorted(self.records, key=lambda each: (each.type, each.key))]


def _bulk_json(outcomes: list[tuple[int, str, str]]) -> Json:
    rows = [{"row": line, "record": name, "outcome": outcome} for line, name, outcome in outcomes if outcome != "done"]
    return {"ran": len(rows) < len(outcomes), "done": len(outcomes) - len(rows), "rows": rows}
