"""The vocabulary of events and triggers, and the rules: which event would end which workflow.

The order of `TRIGGERS` is SPEC's, and decides between triggers that match at the same moment.
"""

from collections.abc import Callable, Collection, Hashable, Iterable, Mapping, Sequence
from functools import lru_cache
from typing import NamedTuple

import msgspec
from msgspec import UNSET

from crmflow.core.addresses import PatternSet, UrlPattern, compile_pattern
from crmflow.core.model import (
    RECORD_TYPES,
    STATUS_FIELD,
    Completion,
    Event,
    Exit,
    RecordType,
    Scalar,
    Trigger,
    Workflow,
)


class TriggerKind(msgspec.Struct, frozen=True):
    """What a trigger of this word may be declared for, and which keys narrow it."""

    types: tuple[RecordType, ...]
    required: tuple[str, ...] = ()
    optional: tuple[str, ...] = ()


TRIGGERS: dict[str, TriggerKind] = {
    "link_clicked": TriggerKind(("prospect",), optional=("suspect",)),
    "replied": TriggerKind(("prospect",)),
    "conversation_started": TriggerKind(("prospect",)),
    "page_visited": TriggerKind(("prospect",), required=("url",)),
    "hard_bounced": TriggerKind(("prospect",)),
    "unsubscribed": TriggerKind(("prospect",)),
    "spam_reported": TriggerKind(("prospect",)),
    "meeting_booked": TriggerKind(("prospect",)),
    "deal_won": TriggerKind(("deal",)),
    "deal_lost": TriggerKind(("deal",)),
    "field_updated": TriggerKind(RECORD_TYPES, optional=("field", "to")),
}
"""Every trigger, in the order that decides ties."""

RANK: dict[str, int] = {word: rank for rank, word in enumerate(TRIGGERS, start=1)}
"""A trigger's place among exits of the same moment: after those by hand (0), before completion."""

STATUS_EVENTS: dict[str, str] = {"deal_won": "won", "deal_lost": "lost"}
"""Events that are an update of a deal's status, and the value they set."""

WITHOUT_EFFECT_TYPES = frozenset({"email_sent", "email_delivered", "email_opened", "soft_bounced", "auto_replied"})
"""Known types of events that no trigger takes."""

TELLING_WORKFLOW = frozenset({"email_sent", "email_delivered"})
"""Types that tell the workflow of a mail, where they name both."""

EVENT_RECORD_TYPES: dict[str, tuple[RecordType, ...]] = {
    **{word: kind.types for word, kind in TRIGGERS.items()},
    "step_completed": RECORD_TYPES,
    **dict.fromkeys(sorted(WITHOUT_EFFECT_TYPES), RECORD_TYPES),
}
"""Every known type of event and the types of records it can be about."""

ALWAYS_WANTED = frozenset({"hard_bounced", "step_completed", *STATUS_EVENTS})
"""Types that change what is known of a record, with or without triggers (as does an update with a value)."""

NAMING_WORKFLOW = frozenset({"link_clicked", "step_completed"})
"""Types that concern only the workflow that they name."""

COUNT_SUSPECT = "count"
"""What a trigger says under `suspect` that takes suspect events too."""

_FACETED = frozenset({"field_updated", *STATUS_EVENTS})
"""Types of events that may go by more than one name."""

REMEMBERED = 10_000
"""Of how many pages, and of how many updates, it is remembered who wants them."""


def facets(event: Event) -> tuple[Event, ...]:
    """Return the event under every name it goes by: a deal's won or lost is an update of its status, and the reverse.

    An update in which the old value equals the new one is nothing at all: no facets.
    """
    if event.type in STATUS_EVENTS:
        return (
            event,
            msgspec.structs.replace(event, type="field_updated", field=STATUS_FIELD, value=STATUS_EVENTS[event.type]),
        )
    if event.type != "field_updated":
        return (event,)
    if event.old is not UNSET and event.value is not UNSET and is_same(event.old, event.value):
        return ()
    if event.record_type == "deal" and event.field == STATUS_FIELD:
        for word, status in STATUS_EVENTS.items():
            if event.value == status:
                return (event, msgspec.structs.replace(event, type=word))
    return (event,)


def field_change(event: Event) -> tuple[str, Scalar] | None:
    """Return the field that an event sets and the value that it takes, or None where it sets none."""
    if event.type in STATUS_EVENTS:
        return STATUS_FIELD, STATUS_EVENTS[event.type]
    if event.type == "field_updated" and event.field is not None and event.value is not UNSET:
        return event.field, event.value
    return None


def untriggered(workflow: Workflow) -> Workflow:
    """Return the workflow without its triggers: records go through its steps, and leave by hand alone."""
    return msgspec.structs.replace(workflow, disenrollment_triggers=())


def is_same(one: Scalar, other: Scalar) -> bool:
    """Tell whether two JSON scalars are equal; unlike in Python, `true` is not 1."""
    return one == other and isinstance(one, bool) == isinstance(other, bool)


def written(value: Scalar) -> str:
    """Return a scalar as a cell without types writes it: `500`, `true`, nothing for null."""
    if isinstance(value, str):
        return value
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)


class Interest(NamedTuple):
    """What may be passed over at a first look: types that nothing in force takes, and pages that nobody means."""

    unwanted_types: frozenset[str]
    is_wanted_page: Callable[[str], object]


EVERYTHING = Interest(frozenset(), lambda _url: True)
"""The interest of who passes over nothing."""


class Rules:
    """All triggers in force, indexed by what an event must be for them to take it."""

    def __init__(self, workflows: Iterable[Workflow]) -> None:
        """Compile the triggers of the workflows in force; their names must be distinct."""
        self.workflows = {workflow.workflow: workflow for workflow in workflows}
        self._of_type: dict[tuple[RecordType, str], list[Trigger]] = {}
        self._of_workflow: dict[tuple[str, str], list[Trigger]] = {}
        pages: list[tuple[UrlPattern, str]] = []
        for name, workflow in self.workflows.items():
            for trigger in workflow.disenrollment_triggers:
                self._of_type.setdefault((workflow.type, trigger.trigger), []).append(trigger)
                self._of_workflow.setdefault((name, trigger.trigger), []).append(trigger)
                pages += [(compile_pattern(text), name) for text in trigger.url]
        self._wanting_page = _wanting_pages(pages)
        self._counting_suspects = {
            place for place, triggers in self._of_workflow.items() if any(map(_counts_suspects, triggers))
        }
        self._decided: dict[Hashable, Mapping[str, str]] = {}
        self._faceted = {name for name, word in self._of_workflow if word in _FACETED}
        self._having = {
            word: frozenset(name for name, its_word in self._of_workflow if its_word == word) for word in TRIGGERS
        }

    def interest(self) -> Interest:
        """Return what no trigger in force can want, for a first and quick look at events."""
        taken = {word for _, word in self._of_type}
        unwanted = WITHOUT_EFFECT_TYPES | (TRIGGERS.keys() - taken - ALWAYS_WANTED - {"field_updated"})
        return Interest(unwanted, self._wanting_page)

    def is_wanted(self, event: Event) -> bool:
        """Tell whether anything in force could want the event: SPEC 5's line between *without effect* and the rest."""
        if has_lasting_effect(event):
            return True
        if event.type == "page_visited":
            return bool(self.wanting(event))
        return any(
            face.type != "field_updated" or _is_wanted_update(face, trigger)
            for face in facets(event)
            for trigger in self._of_type.get((face.record_type, face.type), ())
            if not event.is_suspect or _counts_suspects(trigger)
        )

    def has_workflow_of(self, event: Event) -> bool:
        """Tell whether the workflow that an event names is in force; one that it need not name is, too."""
        return event.type not in NAMING_WORKFLOW or event.workflow in self.workflows or lacks_workflow(event)

    def would_be_wanted(self, event: Event) -> bool:
        """Tell whether anything in force could want the event, were it not suspect."""
        return self.is_wanted(msgspec.structs.replace(event, is_suspect=False))

    def counts_suspects(self, name: str, word: str) -> bool:
        """Tell whether a suspect event of this type would end an enrollment in a workflow, too."""
        return (name, word) in self._counting_suspects

    def wanting(self, event: Event) -> Collection[str]:
        """Return the workflows that an event would end: one or more of their triggers take it."""
        if event.is_suspect:
            return [name for name in self._concerned(event) if self.counts_suspects(name, event.type)]
        return self._concerned(event)

    def _concerned(self, event: Event) -> Collection[str]:
        """Return the workflows that would take an event that is not suspect."""
        match event.type:
            case "page_visited":
                return self._wanting_page(event.url or "")
            case "link_clicked":
                name = event.workflow or ""
                return (name,) if (name, event.type) in self._of_workflow else ()
            case "field_updated" | "deal_won" | "deal_lost":
                return self._deciding(event)
            case _:
                return self._having.get(event.type, ())

    def exit_from(self, name: str, event: Event) -> Exit | None:
        """Return how an event would end an enrollment in a workflow: by the first trigger in table order; or None."""
        workflow = self.workflows.get(name)
        if workflow is None or workflow.type != event.record_type or name not in self.wanting(event):
            return None
        return self.exit_by(name, event)

    def exit_by(self, name: str, event: Event) -> Exit:
        """Return how an event ends an enrollment in one of the workflows that are `wanting` it."""
        return Exit(
            at=event.at,
            cause="trigger",
            trigger=self._deciding(event)[name] if event.type in _FACETED else event.type,
            event_id=event.id,
            event_type=event.type,
            line=event.line,
        )

    def _deciding(self, event: Event) -> Mapping[str, str]:
        """Return the workflows that an update would end, each with the word of the trigger; it remembers them."""
        is_change = event.value is UNSET or event.old is UNSET or not is_same(event.old, event.value)
        meaning = (
            event.record_type,
            event.type,
            event.field,
            written(event.value) if event.value is not UNSET else UNSET,
            is_change,
        )
        if (found := self._decided.get(meaning)) is None:
            names = (name for name in self._faceted if self.workflows[name].type == event.record_type)
            found = {name: word for name in names if (word := self._decisive(name, event))}
            if len(self._decided) == REMEMBERED:
                self._decided.clear()
            self._decided[meaning] = found
        return found

    def _decisive(self, name: str, event: Event) -> str | None:
        """Return the word of the first of a workflow's triggers that takes an event under one of its names."""
        words = [
            face.type
            for face in facets(event)
            for trigger in self._of_workflow.get((name, face.type), ())
            if face.type != "field_updated" or _is_wanted_update(face, trigger)
        ]
        return min(words, key=RANK.__getitem__, default=None)

    def completion(self, event: Event) -> tuple[str, Completion] | None:
        """Return the workflow and the step of it that an event says was completed; None where it says no such thing."""
        workflow = self.workflows.get(event.workflow or "") if event.type == "step_completed" else None
        if workflow is None or workflow.type != event.record_type:
            return None
        for position, step in enumerate(workflow.steps):
            if step.name == event.step:
                told = Completion(step=step.name, position=position, at=event.at, event_id=event.id, line=event.line)
                return workflow.workflow, told
        return None


def has_lasting_effect(event: Event) -> bool:
    """Tell whether the event changes what is known, whatever the triggers: a field, a bounce, a step, a mail."""
    if event.type in TELLING_WORKFLOW:
        return tells_workflow(event)
    return event.type in ALWAYS_WANTED or (event.type == "field_updated" and event.value is not UNSET)


def tells_workflow(event: Event) -> bool:
    """Tell whether the event says of which workflow a mail is."""
    return event.type in TELLING_WORKFLOW and bool(event.workflow) and bool(event.message)


def lacks_workflow(event: Event) -> bool:
    """Tell whether the event concerns a workflow that only another event about its mail names."""
    return event.type in NAMING_WORKFLOW and not event.workflow and bool(event.message)


def answered(event: Event) -> list[str]:
    """Return the mails that a reply answers, the nearest first; none for any other event."""
    return (event.message or "").split() if event.type == "replied" else []


def of_workflows(event: Event, names: Iterable[str]) -> list[Event]:
    """Return an event that names no workflow as one of each of these."""
    return [msgspec.structs.replace(event, workflow=name) for name in names]


def _counts_suspects(trigger: Trigger) -> bool:
    return trigger.suspect == COUNT_SUSPECT


def _wanting_pages(pages: Sequence[tuple[UrlPattern, str]]) -> Callable[[str], frozenset[str]]:
    """Return what tells which workflows want a visit; it remembers, because a log names few pages many times."""
    patterns = PatternSet([pattern for pattern, _ in pages])

    @lru_cache(maxsize=REMEMBERED)
    def wanting(address: str) -> frozenset[str]:
        return frozenset(pages[number][1] for number in patterns.matching(address))

    return wanting


def _is_wanted_update(event: Event, trigger: Trigger) -> bool:
    if trigger.field is not None and event.field != trigger.field:
        return False
    if trigger.to is None:
        return True
    return event.value is not UNSET and written(event.value) in {written(value) for value in trigger.to}
