"""The vocabulary of events and triggers, and the rules: which event would end which workflow.

The order of `TRIGGERS` is SPEC's, and decides between triggers that match at the same moment.
"""

from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import NamedTuple

import msgspec
from msgspec import UNSET

from crmflow.core.addresses import compile_pattern
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
    "link_clicked": TriggerKind(("prospect",)),
    "replied": TriggerKind(("prospect",)),
    "conversation_started": TriggerKind(("prospect",)),
    "page_visited": TriggerKind(("prospect",), required=("url",)),
    "hard_bounced": TriggerKind(("prospect",)),
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

REMEMBERED_ADDRESSES = 10_000


class Match(NamedTuple):
    """An event that a trigger of a workflow takes, whoever is enrolled in it."""

    workflow: str
    exit: Exit


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


def is_same(one: Scalar, other: Scalar) -> bool:
    """Tell whether two JSON scalars are equal; unlike in Python, `true` is not 1."""
    return one == other and isinstance(one, bool) == isinstance(other, bool)


def written(value: Scalar) -> str:
    """Return a scalar as a cell without types writes it: `500`, `true`, nothing for null."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)


class Rules:
    """All triggers in force, indexed by what an event must be for them to take it."""

    def __init__(self, workflows: Iterable[Workflow]) -> None:
        """Compile the triggers of the workflows in force; their names must be distinct."""
        self.workflows = {workflow.workflow: workflow for workflow in workflows}
        self._takers: dict[tuple[RecordType, str], list[tuple[Workflow, Trigger, Callable[[Event], bool]]]] = {}
        for workflow in self.workflows.values():
            for trigger in workflow.disenrollment_triggers:
                takers = self._takers.setdefault((workflow.type, trigger.trigger), [])
                takers.append((workflow, trigger, _condition(workflow, trigger)))

    def is_wanted(self, event: Event) -> bool:
        """Tell whether anything in force could want the event: SPEC 5's line between *without effect* and the rest."""
        if has_lasting_effect(event):
            return True
        return any(
            face.type == "link_clicked" or condition(face)
            for face in facets(event)
            for _, _, condition in self._takers.get((face.record_type, face.type), ())
        )

    def matches(self, event: Event) -> list[Match]:
        """Return, for each workflow that the event would end, the exit by its first trigger in table order."""
        best: dict[str, Exit] = {}
        for face in facets(event):
            for workflow, trigger, condition in self._takers.get((face.record_type, face.type), ()):
                standing = best.get(workflow.workflow)
                if standing and standing.trigger and RANK[standing.trigger] <= RANK[trigger.trigger]:
                    continue
                if condition(face):
                    best[workflow.workflow] = Exit(
                        at=event.at,
                        cause="trigger",
                        trigger=trigger.trigger,
                        event_id=event.id,
                        event_type=event.type,
                        line=event.line,
                    )
        return [Match(workflow, exit_) for workflow, exit_ in best.items()]

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
    """Tell whether the event changes what is known of its record, whatever the triggers: a field, a bounce, a step."""
    return event.type in ALWAYS_WANTED or (event.type == "field_updated" and event.value is not UNSET)


def _condition(workflow: Workflow, trigger: Trigger) -> Callable[[Event], bool]:
    match trigger.trigger:
        case "link_clicked":
            return lambda event: event.workflow == workflow.workflow
        case "page_visited":
            is_meant = _page_condition(trigger.url)
            return lambda event: event.url is not None and is_meant(event.url)
        case "field_updated":
            return lambda event: _is_wanted_update(event, trigger)
        case _:
            return lambda _event: True


def _page_condition(patterns: tuple[str, ...]) -> Callable[[str], bool]:
    """Return what tells whether an address is meant; it remembers, because a log names few pages many times."""
    compiled = [compile_pattern(text) for text in patterns]
    return lru_cache(maxsize=REMEMBERED_ADDRESSES)(lambda address: any(each.matches(address) for each in compiled))


def _is_wanted_update(event: Event, trigger: Trigger) -> bool:
    if trigger.field is not None and event.field != trigger.field:
        return False
    if trigger.to is None:
        return True
    return event.value is not UNSET and written(event.value) in {written(value) for value in trigger.to}
