"""Explains why a record left a workflow when it did, or why it has not.

The store knows what decided. What else was told, and what came near, is read again from the logs.
"""

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import NamedTuple

from crmflow.core.hindrances import BY_MACHINE, Case, Hindrance, awaited, hindrance, told
from crmflow.core.identity import identity_of_id
from crmflow.core.model import Enrollment, Event, Record, Trigger
from crmflow.core.times import FUTURE_TOLERANCE, shown
from crmflow.core.triggers import RANK, Rules
from crmflow.operations.evidence import Evidence, Told, gather
from crmflow.operations.lookup import parse_ref, require_known_workflow, require_record
from crmflow.operations.recall import Gone
from crmflow.operations.story import (
    Entry,
    EventRef,
    Near,
    Retracted,
    RunRef,
    Stay,
    Story,
    TriggerRef,
    Waiting,
    Withdrawal,
)
from crmflow.store import enrollments, retractions, stories, workflows
from crmflow.store.connection import Store
from crmflow.store.retractions import Retraction
from crmflow.store.stories import KeptExit, KeptStep, Version, Withdrawn

_FAR = frozenset({"not_in_force", "type"})
"""Reasons that leave an event nothing in common with a trigger."""

_AGAIN = "read it again with ingest --from-start"


class Explained(NamedTuple):
    """A record's stories; logs that could tell more of them but are gone; given logs that can't be read, or not all."""

    record: Record
    stories: list[Story]
    gone: list[Gone]
    faults: list[str]


def explain(store: Store, ref: str, workflow: str | None, given: Sequence[str], now: datetime) -> Explained:
    """Return a record's story in a workflow, or in every one that it is or was in; the store stays as it is.

    The given logs need not have been read. Raises `CrmflowError` for a record or workflow that is not there.
    """
    with store.snapshot():
        kind = require_known_workflow(store, workflow) if workflow else None
        record = require_record(store, parse_ref(ref, kind))
        enrolled = enrollments.of_records(store, [record.id], workflow)
        withdrawn = [each for each in stories.withdrawn(store, record.id) if workflow in {None, each.workflow}]
        names = [workflow] if workflow else sorted({e.workflow for e in enrolled} | {w.workflow for w in withdrawn})
        evidence = gather(store, record.id, given, now) if enrolled else Evidence([], [], [])
        teller = _Teller(store, record, evidence)
        found = [
            teller.story(
                name,
                [each for each in enrolled if each.workflow == name],
                [each for each in withdrawn if each.workflow == name],
            )
            for name in names
        ]
    gone = [each for each in evidence.gone if any(each.read_at + FUTURE_TOLERANCE >= e.enrolled_at for e in enrolled)]
    return Explained(record, found, gone, evidence.faults)


class _Judged(NamedTuple):
    """An event, and what hinders each trigger of a workflow, in the order that decides, to take it."""

    told: Told
    verdicts: list[tuple[Trigger, Hindrance | None]]

    @property
    def match(self) -> tuple[Trigger, Hindrance | None] | None:
        """The first trigger that takes the event, or would have, had it come before the exit."""
        taking = [each for each in self.verdicts if each[1] is None]
        late = [each for each in self.verdicts if each[1] is not None and each[1].reason == "after"]
        return next(iter(taking + late), None)


class _Teller:
    """Tells the stories of one record."""

    def __init__(self, store: Store, record: Record, evidence: Evidence) -> None:
        self._store = store
        self._record = record
        self._events = evidence.events
        self._runs = stories.runs(store)
        self._begun = stories.beginnings(store, record.id)
        self._steps = stories.steps(store, record.id)
        self._exits = stories.exits(store, record.id)
        self._in_force = workflows.in_force(store)
        self._rules = Rules(each.workflow for each in self._in_force.values())
        in_force = {each.definition_id for each in self._in_force.values()}
        decided = {each.definition for each in self._exits if each.definition is not None}
        self._versions = stories.versions(store, in_force | decided)
        ids = {identity_of_id(each.exit.event_id) for each in self._exits if each.exit.event_id}
        self._retracted_ids = retractions.in_force(store, ids)

    def story(self, name: str, enrolled: Sequence[Enrollment], withdrawn: Sequence[Withdrawn]) -> Story:
        """Return the story in one workflow; what happened after an enrollment belongs to the next one."""
        ends = [*(each.enrolled_at for each in enrolled[1:]), None]
        return Story(
            workflow=name,
            type=self._record.type,
            record=self._record.key,
            in_force=name in self._in_force,
            enrollments=tuple(self._stay(each, until) for each, until in zip(enrolled, ends, strict=False)),
            withdrawn=tuple(
                Withdrawal(shown(each.enrolled_at), self._run(each.run), self._run(each.withdrawn_by))
                for each in withdrawn
            ),
        )

    def _stay(self, enrollment: Enrollment, until: datetime | None) -> Stay:
        exits = [each for each in self._exits if each.enrollment == enrollment.id]
        steps = [each for each in self._steps if each.enrollment == enrollment.id]
        version = self._judging(enrollment, exits)
        judged = [] if version is None else list(self._judged(enrollment, version, exits, until))
        dated = [
            (enrollment.enrolled_at, self._beginning(enrollment)),
            *((each.at, self._step(enrollment, each)) for each in steps),
            *((each.exit.at, self._exit(enrollment, each)) for each in exits),
            *(
                (each.told.event.at, self._match(enrollment, version, each))
                for each in judged
                if version and each.match
            ),
        ]
        exit_ = enrollment.exit
        return Stay(
            state="active" if exit_ is None else "completed" if exit_.cause == "completed" else "disenrolled",
            enrolled_at=shown(enrollment.enrolled_at),
            step=enrollment.step,
            exited_at=None if exit_ is None else shown(exit_.at),
            timeline=tuple(entry for _, entry in sorted(dated, key=lambda each: each[0])),
            waiting=tuple(self._waiting(version, judged)) if exit_ is None and version else None,
        )

    def _judging(self, enrollment: Enrollment, exits: Sequence[KeptExit]) -> Version | None:
        """Return the definition by which events are judged: the one in force, else the one that decided the exit."""
        in_force = self._in_force.get(enrollment.workflow)
        decided = next((each.definition for each in exits if each.stands), None)
        return self._versions.get(in_force.definition_id if in_force else decided or 0)

    def _judged(
        self, enrollment: Enrollment, version: Version, exits: Sequence[KeptExit], until: datetime | None
    ) -> Iterator[_Judged]:
        """Yield the events that did not become exits, each held against every trigger."""
        rules = self._rules if enrollment.workflow in self._in_force else Rules([version.workflow])
        triggers = sorted(version.workflow.disenrollment_triggers, key=lambda each: RANK[each.trigger])
        deciding = [self._told(each) for each in exits]
        for each in self._events:
            if each not in deciding and (until is None or each.event.at < until):
                verdicts = [(trigger, hindrance(Case(rules, enrollment, trigger, each.event))) for trigger in triggers]
                yield _Judged(each, verdicts)

    # --- what happened ---

    def _beginning(self, enrollment: Enrollment) -> Entry:
        return Entry(shown(enrollment.enrolled_at), "enrolled", run=self._run(self._begun[enrollment.id]))

    def _step(self, enrollment: Enrollment, step: KeptStep) -> Entry:
        at, event = shown(step.at), None
        if step.line is not None:
            says = f"{step.step} of {enrollment.workflow}"
            event = EventRef(step.event_id, "step_completed", at, says, step.source, step.line)
        return Entry(at, "step", by=step.step, event=event, run=self._run(step.run))

    def _exit(self, enrollment: Enrollment, kept: KeptExit) -> Entry:
        retraction = self._retracted_ids.get(identity_of_id(kept.exit.event_id or ""))
        told_by = self._told(kept)
        return Entry(
            time=shown(kept.exit.at),
            what="exit",
            by=kept.exit.trigger or kept.exit.cause,
            event=self._event(kept),
            trigger=self._declared(enrollment, kept),
            run=self._run(kept.run),
            note=kept.exit.note,
            stands=kept.stands,
            superseded_by=self._run_or_none(kept.superseded_by),
            restored_by=self._run_or_none(kept.restored_by),
            retracted=self._retracted(retraction or (told_by.retraction if told_by else None)),
            why=BY_MACHINE if told_by and told_by.event.is_suspect and not kept.stands else None,
        )

    def _told(self, kept: KeptExit) -> Told | None:
        """Return the event that made an exit, where a log still tells it."""
        exit_ = kept.exit
        meant = (exit_.event_type, exit_.at, exit_.event_id or None)
        alike = [each for each in self._events if (each.event.type, each.event.at, each.event.id or None) == meant]
        return next((each for each in alike if each.event.line == exit_.line), alike[0] if alike else None)

    def _updates(self, kept: KeptExit) -> list[Event]:
        """Return the updates that the store keeps of the moment of an exit, whoever made them."""
        record, at = self._record, kept.exit.at
        return [
            Event(type="field_updated", at=at, record_type=record.type, name=record.key, field=field, value=value)
            for field, value in stories.updates_at(self._store, record.id, at)
        ]

    def _event(self, kept: KeptExit) -> EventRef | None:
        exit_ = kept.exit
        if exit_.event_type is None:
            return None
        told_by = self._told(kept)
        updates = [told(each) for each in self._updates(kept)] if exit_.event_type == "field_updated" else []
        says = told(told_by.event) if told_by else " or ".join(updates)
        return EventRef(exit_.event_id or None, exit_.event_type, shown(exit_.at), says, kept.source, exit_.line)

    def _declared(self, enrollment: Enrollment, kept: KeptExit) -> TriggerRef | None:
        """Return the trigger that made an exit: the first one of its word that takes the event, as far as is known."""
        version = self._versions.get(kept.definition or 0)
        if version is None or kept.exit.trigger is None:
            return None
        named = [each for each in version.workflow.disenrollment_triggers if each.trigger == kept.exit.trigger]
        told_by = self._told(kept)
        events = [told_by.event] if told_by else self._updates(kept)
        rules = Rules([version.workflow])
        free = Enrollment(
            id=enrollment.id,
            record_id=enrollment.record_id,
            workflow=enrollment.workflow,
            enrolled_at=enrollment.enrolled_at,
        )
        taking = [each for each in named if any(hindrance(Case(rules, free, each, event)) is None for event in events)]
        return _declared_in(version, *((taking[:1] if len(events) == 1 else taking) or named))

    # --- what does not count ---

    def _match(self, enrollment: Enrollment, version: Version, judged: _Judged) -> Entry:
        if judged.match is None:
            raise AssertionError("only matches are told as such")
        (trigger, late), each = judged.match, judged.told
        return Entry(
            time=shown(each.event.at),
            what="match",
            by=trigger.trigger,
            event=_event_ref(each),
            trigger=_declared_in(version, trigger),
            run=self._run_or_none(next(iter(each.runs), None)),
            retracted=self._retracted(each.retraction),
            why=late.sentence if late else self._why_not_counted(each, enrollment, version),
        )

    def _why_not_counted(self, each: Told, enrollment: Enrollment, version: Version) -> str:
        """Return why an event that a trigger takes has not ended the enrollment."""
        begun = self._begun[enrollment.id]
        if each.retraction is not None:
            return f"it is retracted: {each.retraction.because}"
        if not each.runs:
            return f"it is not read yet: crmflow ingest {each.source}"
        if each.runs[-1] < begun:
            return f"it was read before run {begun} made the enrollment: {_AGAIN}"
        if each.runs[-1] < version.run:
            return f"it was read before run {version.run} put these rules in force: {_AGAIN}"
        return f"it was read, but perhaps before {each.event.name} was known: {_AGAIN}"

    def _waiting(self, version: Version, judged: Sequence[_Judged]) -> Iterator[Waiting]:
        """Yield what each trigger waits for, in the order of the file."""
        passed = [each for each in judged if each.match is None]
        for trigger in version.workflow.disenrollment_triggers:
            near = [
                Near(_event_ref(each.told), self._run_or_none(next(iter(each.told.runs), None)), *found)
                for each in passed
                for its_trigger, found in each.verdicts
                if its_trigger is trigger and found is not None and found.reason not in _FAR
            ]
            yield Waiting(_declared_in(version, trigger), awaited(trigger, version.workflow.workflow), tuple(near))

    # --- who did it ---

    def _run(self, number: int) -> RunRef:
        return RunRef(*self._runs[number])

    def _run_or_none(self, number: int | None) -> RunRef | None:
        return None if number is None else self._run(number)

    def _retracted(self, retraction: Retraction | None) -> Retracted | None:
        return None if retraction is None else Retracted(self._run(retraction.run), retraction.because)


def _event_ref(each: Told) -> EventRef:
    event = each.event
    return EventRef(event.id or None, event.type, shown(event.at), told(event), each.source, event.line)


def _declared_in(version: Version, *triggers: Trigger) -> TriggerRef:
    return TriggerRef(triggers[0].trigger, version.path, tuple(each.line for each in triggers), version.digest)
