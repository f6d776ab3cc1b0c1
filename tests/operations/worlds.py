"""Small worlds in which much happens at once: few records, few words, few moments, so that they meet often.

Everybody is enrolled before the first log is read, and nobody is called by an email that only a log gives away: these
are the two exceptions of the law that the worlds are made for.
"""

import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any, NamedTuple

import msgspec
from hypothesis import strategies as st
from msgspec import UNSET

from crmflow.core.haste import Located
from crmflow.core.model import RECORD_TYPES, Enrollment, Event, Exit, RecordType, Scalar, Step, Trigger, Workflow
from crmflow.core.settlement import settle
from crmflow.core.triggers import TELLING_WORKFLOW, TRIGGERS
from crmflow.operations.absorb import EVENTS_AT_ONCE
from crmflow.operations.ingest import Manner
from crmflow.sources.logs import PIECE_SIZE

START = datetime(2026, 3, 1, tzinfo=UTC)
NOW = START + timedelta(days=1)

_MOMENTS = [START + timedelta(hours=hour, microseconds=beside) for hour in range(1, 4) for beside in (0, -1, 1)]
_TIMES = st.sampled_from(_MOMENTS)
_EARLY_TIMES = st.sampled_from(_MOMENTS[:3])


# --- who is there ---


class Person(NamedTuple):
    """A record that every world begins with; its number is its place in the cast, from 1."""

    type: RecordType
    key: str
    fields: dict[str, Scalar]
    names: tuple[str, ...]


CAST = (
    Person("prospect", "p-1", {"email": "Ana@acme.example", "status": "lead"}, ("p-1", "ana@acme.example")),
    Person("prospect", "bob@acme.example", {"email": "bob@acme.example"}, ("bob@acme.example", "BOB@acme.example")),
    Person("organization", "p-1", {"status": "lead"}, ("p-1",)),
    Person("organization", "org-2", {}, ("org-2",)),
    Person("deal", "p-1", {"status": "open", "amount": 5}, ("p-1",)),
    Person("deal", "D-2", {}, ("D-2",)),
)
NUMBERS = {(each.type, name): number for number, each in enumerate(CAST, start=1) for name in each.names}
FIRST_VALUES = {
    (number, field): value for number, each in enumerate(CAST, start=1) for field, value in each.fields.items()
}
_NAMES = {kind: [*(name for each, name in NUMBERS if each == kind), "nobody"] for kind in RECORD_TYPES}


# --- workflows ---

_WORKFLOW_NAMES = ("w", "W", "w-1", "w_1")
_STEP_NAMES = ("intro", "Intro", "call")
_VALUES: tuple[Scalar, ...] = ("lead", "won", "lost", 5, 5.0, "5", True, None)
_PATTERNS = ("acme.example/pricing*", "https://*.acme.example/*/eu", "*?from=mail", "HTTP://acme.example:80/Docs/")
_URLS = (
    "https://acme.example/pricing/eu",
    "https://www.ACME.example:443/pricing/eu/?from=mail",
    "http://acme.example/Docs#top",
    "http://acme.example/docs",
)


def _trigger(word: str) -> st.SearchStrategy[Trigger]:
    url: st.SearchStrategy[Any] = st.just(())
    field: st.SearchStrategy[str | None] = st.none()
    to: st.SearchStrategy[Any] = st.none()
    suspect: st.SearchStrategy[str | None] = st.none()
    if word == "link_clicked":
        suspect = st.sampled_from([None, "count"])
    if word == "page_visited":
        url = st.lists(st.sampled_from(_PATTERNS), min_size=1, max_size=2).map(tuple)
    if word == "field_updated":
        field = st.sampled_from(["status", "amount", None])
        to = st.none() | st.lists(st.sampled_from(_VALUES), min_size=1, max_size=2).map(tuple)
    return st.builds(Trigger, trigger=st.just(word), url=url, field=field, to=to, suspect=suspect)


_STEPS = st.permutations([Step(name, "task", timedelta(hours=1)) for name in _STEP_NAMES])
_FEW_OR_MANY = st.sampled_from([(0, 1), (2, 5)])


def _triggers(kind: RecordType) -> st.SearchStrategy[tuple[Trigger, ...]]:
    trigger = st.sampled_from([word for word in TRIGGERS if kind in TRIGGERS[word].types]).flatmap(_trigger)
    return _FEW_OR_MANY.flatmap(lambda size: st.lists(trigger, min_size=size[0], max_size=size[1]).map(tuple))


def _workflow(name: str, kind: RecordType) -> st.SearchStrategy[Workflow]:
    return st.builds(
        Workflow,
        workflow=st.just(name),
        type=st.just(kind),
        steps=st.builds(lambda steps, count: tuple(steps[:count]), _STEPS, st.integers(0, 3)),
        disenrollment_triggers=_triggers(kind),
    )


def redefined(workflows: Sequence[Workflow]) -> st.SearchStrategy[tuple[Workflow, ...]]:
    """Return other definitions of the same workflows."""
    return st.tuples(*(_workflow(each.workflow, each.type) for each in workflows))


_WORKFLOWS = st.lists(
    st.tuples(st.sampled_from(_WORKFLOW_NAMES), st.sampled_from(("prospect", *RECORD_TYPES))),
    min_size=1,
    max_size=3,
    unique_by=lambda name_and_type: name_and_type[0],
).flatmap(lambda chosen: st.tuples(*(_workflow(*each) for each in chosen)))


# --- what happens ---


class Stay(NamedTuple):
    """An enrollment of the record of this number, and the exit by hand that ends it before any log is read."""

    record: int
    workflow: Workflow
    enrolled_at: datetime
    exited_at: datetime | None

    @property
    def ref(self) -> str:
        """Return the record as the user writes it."""
        return f"{self.person.type}:{self.person.key}"

    @property
    def person(self) -> Person:
        """Return the record."""
        return CAST[self.record - 1]


_ANY_TYPE = {
    kind: [
        *(word for word, its in TRIGGERS.items() if kind in its.types),
        *("step_completed", "field_updated", "field_updated", "opened_twice", "email_sent", "email_delivered"),
    ]
    for kind in RECORD_TYPES
}
_OF_MAIL = TELLING_WORKFLOW | {"link_clicked"}
_MESSAGES = st.sampled_from([None, "m-1", "m-1", "m-2"])
_SUSPECT = st.sampled_from([False, False, True])
_EMAILS = ("ana@new.example", "ana@acme.example", None)
_IDS = st.sampled_from([None, None, "e-1", "e-2", "10", "9"])


@st.composite
def _events(draw: st.DrawFn, stays: list[Stay]) -> Event:
    """Return an event that likely concerns a stay, in a way that its workflow likely cares for."""
    stay = draw(st.sampled_from(stays))
    workflow, kind = stay.workflow, stay.person.type
    cared_for = [each.trigger for each in workflow.disenrollment_triggers] + ["step_completed"] * len(workflow.steps)
    word = draw(st.sampled_from([*cared_for, *cared_for, *_ANY_TYPE[kind]]))
    event = Event(
        type=word,
        at=draw(_TIMES),
        record_type=kind,
        name=draw(st.sampled_from([*stay.person.names, *stay.person.names, *_NAMES[kind]])),
        line=1,
        id=draw(_IDS),
    )
    said: dict[str, Any] = {}
    if word in _OF_MAIL:
        said["message"] = draw(_MESSAGES)
    if word == "link_clicked":
        said |= {"is_suspect": draw(_SUSPECT), "url": draw(st.sampled_from([None, *_URLS]))}
    if word == "step_completed" or (word in _OF_MAIL and not (said["message"] and draw(st.booleans()))):
        said["workflow"] = draw(st.sampled_from([workflow.workflow] * 4 + [*_WORKFLOW_NAMES, "gone"]))
    if word == "step_completed":
        said["step"] = draw(st.sampled_from([*(each.name for each in workflow.steps), *_STEP_NAMES, "none"]))
    if word == "page_visited":
        said["url"] = draw(st.sampled_from(_URLS))
    if word == "field_updated":
        said = draw(_UPDATES | _NEW_EMAILS if (kind, event.name) == _MOVING else _UPDATES)
    return msgspec.structs.replace(event, **said)


_SAID = st.sampled_from([*_VALUES, UNSET, UNSET])
_UPDATES = st.fixed_dictionaries(
    {"field": st.sampled_from(["status", "status", "amount"]), "value": _SAID, "old": _SAID}
)
_NEW_EMAILS = st.fixed_dictionaries({"field": st.just("email"), "value": st.sampled_from(_EMAILS)})
_MOVING = ("prospect", "ana@acme.example")
"""The prospect whose email may change; no event calls it by the new one."""


def line_of(event: Event) -> bytes:
    """Return the line that says an event in a log."""
    said = {
        "id": event.id,
        "type": event.type,
        "time": event.at.isoformat(),
        event.record_type: event.name,
        "workflow": event.workflow,
        "step": event.step,
        "url": event.url,
        "field": event.field,
        "message": event.message,
        "suspect": event.is_suspect or None,
    }
    values = {"value": event.value, "old": event.old}
    plain = {key: value for key, value in said.items() if value is not None}
    return json.dumps(plain | {key: value for key, value in values.items() if value is not UNSET}).encode() + b"\n"


# --- a world ---


class World(NamedTuple):
    """Workflows, enrollments in the order in which they are made, and what happens: events, and later exits by hand.

    A later exit takes the record of a stay out of its workflow at a time.
    """

    workflows: tuple[Workflow, ...]
    stays: list[Stay]
    leavings: list[tuple[Stay, datetime]]
    events: list[Event]

    @property
    def enrolled(self) -> list[Enrollment]:
        """Return the stays as enrollments that no event has touched: each as exits by hand leave it."""
        return [
            Enrollment(
                id=number,
                record_id=each.record,
                workflow=each.workflow.workflow,
                enrolled_at=each.enrolled_at,
                exit=self._exit_by_hand(each),
            )
            for number, each in enumerate(self.stays, start=1)
        ]

    @property
    def located(self) -> list[Located]:
        """Return the events about somebody who is there, each with the number of its record."""
        found = ((NUMBERS.get((event.record_type, event.name)), event) for event in self.events)
        return [(number, event) for number, event in found if number is not None]

    def _exit_by_hand(self, stay: Stay) -> Exit | None:
        own = [] if stay.exited_at is None else [stay.exited_at]
        later = [at for each, at in self.leavings if each[:2] == stay[:2]]
        return settle(stay.enrolled_at, [Exit(at=at, cause="manual") for at in (*own, *later)])


@st.composite
def worlds(draw: st.DrawFn) -> World:
    """Return a world."""
    workflows = draw(_WORKFLOWS)
    pairs = [
        (number, each) for each in workflows for number, person in enumerate(CAST, start=1) if person.type == each.type
    ]
    entering = draw(st.lists(st.sampled_from(pairs), min_size=1, max_size=3, unique=True))
    stays = [stay for pair in entering for stay in _stays(pair, draw(_MOVES))]
    leavings = draw(st.lists(st.tuples(st.sampled_from(stays), _TIMES), max_size=2))
    events = draw(
        st.sampled_from([0, 8, 12]).flatmap(lambda least: st.lists(_events(stays), min_size=least, max_size=20))
    )
    return World(workflows, stays, leavings, events)


_SECONDS = st.sampled_from([0, 1, 2, 3, 4, 6, 8, 11, 14, 60]).map(
    lambda second: START + timedelta(hours=2, seconds=second)
)
_OF_A_MAIL = st.sampled_from(["link_clicked"] * 3 + ["email_delivered", "replied"])


@st.composite
def _told_of_mail(draw: st.DrawFn) -> Event:
    """Return one of the things that happen to a mail within a minute."""
    word = draw(_OF_A_MAIL)
    is_attributed = word == "email_delivered" or draw(st.booleans())
    return Event(
        type=word,
        at=draw(_SECONDS),
        record_type="prospect",
        name=draw(st.sampled_from(CAST[0].names)),
        line=1,
        id=draw(_IDS),
        message=draw(st.sampled_from(["m-1", "m-1", "m-2"])),
        workflow=draw(st.sampled_from(_WORKFLOW_NAMES[:2])) if is_attributed and word != "replied" else None,
        url=draw(st.sampled_from(_URLS)) if word == "link_clicked" else None,
    )


@st.composite
def mailings(draw: st.DrawFn) -> World:
    """Return a world of two workflows, one of which counts suspect clicks, in which mails are delivered and clicked.

    Nobody leaves later by hand: who had left by then does not leave once more, if a click turns out to be hasty.
    """
    triggers = (Trigger("link_clicked"), Trigger("replied")), (Trigger("link_clicked", suspect="count"),)
    workflows = tuple(
        Workflow(workflow=name, type="prospect", disenrollment_triggers=its)
        for name, its in zip(_WORKFLOW_NAMES, triggers, strict=False)
    )
    stays = [Stay(1, each, START, draw(st.none() | _SECONDS)) for each in workflows]
    return World(workflows, stays, [], draw(st.lists(_told_of_mail(), min_size=2, max_size=8)))


_MOVES = st.sampled_from([0, 0, 0, 1, 2, 3]).flatmap(
    lambda count: st.tuples(_EARLY_TIMES, *[_TIMES] * count).map(sorted)
)


def _stays(pair: tuple[int, Workflow], times: list[datetime]) -> list[Stay]:
    """Return stays one after the other: into the workflow, out of it, into it again."""
    exits = [*times[1::2], None]
    return [Stay(*pair, enrolled_at, exited_at) for enrolled_at, exited_at in zip(times[::2], exits, strict=False)]


# --- how it is read ---


class Reading(NamedTuple):
    """A run that reads a log to which these lines, by their numbers, were appended.

    Before it, so many of the world's later exits happen.
    """

    log: str
    lines: Sequence[int]
    manner: Manner
    leaving_count: int


@st.composite
def readings(draw: st.DrawFn, line_count: int) -> list[Reading]:
    """Return runs that between them read every line, in any order, some more than once."""
    numbers = list(range(line_count))
    repeated = draw(st.lists(st.sampled_from(numbers), max_size=6))
    order = draw(st.permutations([*numbers, *repeated]))
    cuts = sorted(draw(st.lists(st.integers(0, len(order)), max_size=4)))
    return [
        Reading(
            log=draw(st.sampled_from(["a.jsonl", "b.jsonl"])),
            lines=order[start:end],
            manner=Manner(
                piece_size=draw(st.sampled_from([PIECE_SIZE, 300, 1])),
                events_at_once=draw(st.sampled_from([EVENTS_AT_ONCE, 3, 1])),
                from_start=draw(st.integers(0, 3)) == 3,
            ),
            leaving_count=draw(st.integers(0, 2)),
        )
        for start, end in pairwise([0, *cuts, len(order)])
    ]
