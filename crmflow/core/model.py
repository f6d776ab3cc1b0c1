"""The data dictionary: every thing that crmflow reasons about, frozen.

A *record* (prospect, organization, deal) is in a *workflow* through an *enrollment*, until an *exit*. *Events* are
facts about records; a *trigger* of a workflow turns an event into an exit. Times are aware and in UTC.
"""

from datetime import datetime, timedelta
from typing import Literal

import msgspec
from msgspec import UnsetType

RecordType = Literal["prospect", "organization", "deal"]
RECORD_TYPES: tuple[RecordType, ...] = ("prospect", "organization", "deal")

Scalar = str | int | float | bool | None
"""A field's value: a JSON scalar."""

Cause = Literal["manual", "trigger", "completed"]
UNSET = msgspec.UNSET
"""What a value is that an event does not say (None is JSON's null)."""

State = Literal["active", "completed", "disenrolled"]

NAME_PATTERN = r"^[A-Za-z0-9_-]{1,64}$"
"""What a workflow may be called: what mail providers' tags can carry."""

EMAIL_FIELD = "email"
STATUS_FIELD = "status"


class Ref(msgspec.Struct, frozen=True, order=True):
    """A reference to a record as the user or an event wrote it: a key or, for a prospect, an email."""

    type: RecordType
    name: str

    def __str__(self) -> str:
        """Return `TYPE:NAME`."""
        return f"{self.type}:{self.name}"


class Moment(msgspec.Struct, frozen=True):
    """When a command acts: `at` is the time that the user means (`--at`), `now` the clock's."""

    at: datetime
    now: datetime


class Record(msgspec.Struct, frozen=True):
    """A prospect, an organization or a deal as the store knows it now; `email` is a prospect's alone."""

    id: int
    type: RecordType
    key: str
    email: str | None
    fields: dict[str, Scalar]


class Step(msgspec.Struct, frozen=True):
    """One step of a workflow; it is due `after` the step before it, the first one after the enrollment."""

    name: str
    kind: Literal["email", "task", "wait"]
    after: timedelta


class Trigger(msgspec.Struct, frozen=True, omit_defaults=True):
    """One disenrollment trigger of a workflow: its word in SPEC's table and what narrows it.

    `url` holds the patterns of a `page_visited`; `field` and `to` (the values wanted) narrow a `field_updated`, None
    meaning any. `suspect` is `count` where clicks that are likely a machine's count too. `line` is where the file
    declares it, from 1.
    """

    trigger: str
    url: tuple[str, ...] = ()
    field: str | None = None
    to: tuple[Scalar, ...] | None = None
    line: int = 0
    suspect: str | None = None


class Workflow(msgspec.Struct, frozen=True):
    """A named definition for one type of record.

    `max_exits_per_run` is the most exits that a run may bring without being approved: a number, or a percentage of the
    active enrollments (`10%`).
    """

    workflow: str
    type: RecordType
    description: str = ""
    steps: tuple[Step, ...] = ()
    disenrollment_triggers: tuple[Trigger, ...] = ()
    max_exits_per_run: int | str | UnsetType = UNSET


class Definition(msgspec.Struct, frozen=True):
    """A workflow as one file declares it: `digest` names its meaning (SHA-256, hex), whatever its layout."""

    workflow: Workflow
    digest: str
    path: str
    text: str


class Event(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One unchangeable fact about one record, from line `line` (from 1) of its source; None where it has no source.

    An `id` is None where there is none, never empty. `value` and `old` are UNSET where the event does not say them.
    `message` names the mail that it is about, as its sender names it in all events about that mail; of a reply it names
    the mails that it answers, the nearest first, with spaces between. An event `is_suspect` where likely a machine
    caused it.
    """

    type: str
    at: datetime
    record_type: RecordType
    name: str
    line: int | None = None
    id: str | None = None
    workflow: str | None = None
    step: str | None = None
    url: str | None = None
    field: str | None = None
    value: Scalar | UnsetType = UNSET
    old: Scalar | UnsetType = UNSET
    message: str | None = None
    is_suspect: bool = False


class Exit(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The end of an enrollment, or one that would end it.

    `trigger` is the trigger's word for the cause `trigger`. `event_id`, `event_type` and `line` name the event, where
    there was one.
    """

    at: datetime
    cause: Cause
    trigger: str | None = None
    event_id: str | None = None
    event_type: str | None = None
    line: int | None = None
    note: str | None = None


class Completion(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A step that was completed, by `advance` (no event) or by a `step_completed` event.

    `position` (from 0) is the step's place when that was written down: it stands in for the name once a changed
    definition no longer knows it.
    """

    step: str
    position: int
    at: datetime
    event_id: str | None = None
    line: int | None = None


class Enrollment(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The fact that a record is in a workflow from `enrolled_at` on, and how far it came.

    `exit` is the one that stands (None: active); `exit_id` and `exit_run` are the store's numbers of it and of the run
    that wrote it. `step` is the last completed one. `waiting_since` is from when the delay of the next step counts,
    where the enrollment was out of the workflow for a while: None for since the last step.
    """

    id: int
    record_id: int
    workflow: str
    enrolled_at: datetime
    step: str | None = None
    step_position: int | None = None
    step_at: datetime | None = None
    waiting_since: datetime | None = None
    exit: Exit | None = None
    exit_id: int | None = None
    exit_run: int | None = None


class FieldChange(msgspec.Struct, frozen=True, gc=False):
    """A field of a record took a value, by hand (`is_by_hand`) or by an event (`event_id` empty where it has none)."""

    record_id: int
    field: str
    at: datetime
    value: Scalar
    event_id: str = ""
    is_by_hand: bool = False


class Bounce(msgspec.Struct, frozen=True, gc=False):
    """An email to a record hard-bounced; `name` is what the event called the record by: its key or an address."""

    record_id: int
    at: datetime
    name: str
    event_id: str = ""


class Reject(msgspec.Struct, frozen=True):
    """A line or row that could not be understood: `line` from 1, `offset` in bytes, `text` its first 64 KiB."""

    line: int
    offset: int
    reason: str
    text: bytes
