"""What the naive model is made of: records, enrollments and exits that forget nothing, and events as SPEC reads them.

An enrollment keeps every exit that was ever offered to it and every step that it was ever told of, a record every value
that its fields ever took. What holds now is found anew each time that somebody asks.
"""

import json
import re
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

Json = dict[str, Any]
START = datetime.min.replace(tzinfo=UTC)
RECORD_TYPES = ("prospect", "organization", "deal")
OF_PROSPECTS = (
    *("link_clicked", "replied", "conversation_started", "page_visited", "hard_bounced"),
    *("unsubscribed", "spam_reported", "meeting_booked"),
)
OF_DEALS = ("deal_won", "deal_lost")
TRIGGERS = (*OF_PROSPECTS, *OF_DEALS, "field_updated")
WITHOUT_EFFECT = ("email_sent", "email_delivered", "email_opened", "soft_bounced", "auto_replied")
KNOWN_TYPES = (*TRIGGERS, "step_completed", *WITHOUT_EFFECT)
REQUIRED = {
    "link_clicked": ("workflow",),
    "step_completed": ("workflow", "step"),
    "page_visited": ("url",),
    "field_updated": ("field",),
}
UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


class Exit(NamedTuple):
    """One way in which an enrollment could end; `event` is the JSON that names the event, if there was one."""

    at: datetime
    cause: str
    trigger: str | None = None
    event: Json | None = None
    note: str | None = None

    @property
    def order(self) -> tuple[Any, ...]:
        """Return what decides which of several exits stands: the least."""
        by_trigger = TRIGGERS.index(self.trigger) + 1 if self.trigger else len(TRIGGERS) + 1
        rank = 0 if self.cause == "manual" else by_trigger
        event_id = self.event["id"] if self.event else None
        kind = KNOWN_TYPES.index(self.event["type"]) if self.event else -1
        return self.at, rank, event_id is None, event_id or "", kind


class Told(NamedTuple):
    """A completed step; `place` is where it stood in the workflow when that was told."""

    step: str
    place: int
    at: datetime
    event_id: str | None


@dataclass(eq=False)
class Record:
    """A record; `changes` are (field, (time, by which command by hand, event id, JSON), value)."""

    type: str
    key: str
    changes: list[tuple[str, tuple[Any, ...], Any]] = field(default_factory=list)
    bounces: list[tuple[datetime, str]] = field(default_factory=list)
    prospects: list["Record"] = field(default_factory=list)

    @property
    def all_fields(self) -> Json:
        """Return what each field is: the value of its latest change."""
        return {name: value for name, _, value in sorted(self.changes, key=lambda change: change[1])}

    @property
    def email(self) -> str | None:
        """Return a prospect's email."""
        email = self.all_fields.get("email") if self.type == "prospect" else None
        return email if isinstance(email, str) and email else None

    @property
    def fields(self) -> Json:
        """Return the fields, without a prospect's email."""
        return {name: value for name, value in self.all_fields.items() if (self.type, name) != ("prospect", "email")}

    @property
    def addresses(self) -> set[str]:
        """Return every email that a prospect has or had, without case."""
        values = [value for name, _, value in self.changes if (self.type, name) == ("prospect", "email")]
        return {value.casefold() for value in values if isinstance(value, str) and value}

    @property
    def is_bounced(self) -> bool:
        """Tell whether the email of now hard-bounced: by its address, or by the key since it is the email."""
        since = max((stamp[0] for name, stamp, _ in self.changes if name == "email"), default=START)
        now = (self.email or "").casefold()
        return any(name == now if name in self.addresses else at >= since for at, name in self.bounces)

    def change(self, name: str, value: object, at: datetime, event_id: str | None, hand: int = 0) -> None:
        """Let a field take a value; of the same moment a change by hand is the later one, then the larger id."""
        self.changes.append((name, (at, hand, event_id or "", json.dumps(value, ensure_ascii=False)), value))

    def as_json(self) -> Json:
        """Return all that is known of the record."""
        plain: Json = {"type": self.type, "key": self.key, "fields": self.fields}
        if self.type == "prospect":
            plain |= {"email": self.email, "bounced": self.is_bounced}
        if self.type == "deal":
            plain |= {"prospects": sorted(each.key for each in self.prospects)}
        return plain


@dataclass(eq=False)
class Enrollment:
    """An enrollment; `last` is the furthest step that it completed."""

    workflow: str
    record: Record
    at: datetime
    exits: list[Exit] = field(default_factory=list)
    steps: list[Told] = field(default_factory=list)
    last: Told | None = None

    @property
    def exit(self) -> Exit | None:
        """Return the exit that stands: the earliest."""
        return min((each for each in self.exits if each.at >= self.at), key=lambda each: each.order, default=None)

    def take(self, steps: list[Json], exit_: Exit | None = None, told: Told | None = None) -> None:
        """Take in an exit and a completed step; what changes nothing is nothing, also where steps go otherwise now."""
        before, is_new = self.exit, told is not None and told.at >= self.at and not self._knows(told)
        self.steps += [told] if told and is_new else []
        self.exits += [exit_] if exit_ else []
        if self.exit != before or (is_new and told and _is_before(told.at, self.exit)):
            self._settle(steps)

    def _knows(self, told: Told) -> bool:
        return told._replace(place=0) in [each._replace(place=0) for each in self.steps]

    def _settle(self, steps: list[Json]) -> None:
        """Find the furthest step completed before the exit, by the definition in force."""
        places = {step["name"]: place for place, step in enumerate(steps)}
        counting = [each for each in self.steps if _is_before(each.at, self.exit)]

        def furthest_first(told: Told) -> tuple[Any, ...]:
            place = places.get(told.step, told.place)
            return -place, told.at, told.event_id is None, told.event_id or "", told.step

        self.last = min(counting, key=furthest_first, default=None)

    def as_json(self) -> Json:
        """Return what `enrollment list --json` says of it, without the number of the run."""
        exit_ = self.exit
        states = {None: "active", "completed": "completed"}
        return {
            "workflow": self.workflow,
            "type": self.record.type,
            "record": self.record.key,
            "state": states.get(exit_.cause if exit_ else None, "disenrolled"),
            "enrolled_at": shown(self.at),
            "step": self.last.step if self.last else None,
            "exited_at": shown(exit_.at) if exit_ else None,
            "exit": exit_ and {name: value for name, value in exit_._asdict().items() if name != "at"},
        }


def _is_before(at: datetime, exit_: Exit | None) -> bool:
    return exit_ is None or at < exit_.at or (at == exit_.at and exit_.cause == "completed")


def shown(at: datetime) -> str:
    """Return a time as JSON has it."""
    seconds, _, fraction = at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f").partition(".")
    return f"{seconds}.{fraction.rstrip('0')}".removesuffix(".") + "Z"


def length(text: str) -> timedelta:
    """Return the duration that a step's `after` names."""
    return timedelta(**{UNITS[text[-1]]: int(text[:-1])})


def cell(value: object) -> str:
    """Return a value as a cell without types has it."""
    return "" if value is None else value if isinstance(value, str) else json.dumps(value)


def is_same(one: object, other: object) -> bool:
    """Tell whether two values are the same JSON: `1` is `1.0`, but not `true`."""
    return one == other and isinstance(one, bool) == isinstance(other, bool)


def understood(line: bytes, now: datetime) -> Json | None:
    """Return the event of a line, its time as `at`; of an unknown type, only that; None for what is no event."""
    try:
        event = json.loads(line)
    except ValueError:
        return None
    if not isinstance(event, dict) or not isinstance(event.get("type"), str):
        return None
    if event["type"] not in KNOWN_TYPES:
        return {"type": event["type"]}
    at = _time(event.get("time"))
    named = [kind for kind in RECORD_TYPES if kind in event]
    if at is None or at > now + timedelta(days=1) or len(named) != 1 or not _is_about(event["type"], named[0]):
        return None
    if not all(event.get(name) for name in (named[0], *REQUIRED.get(event["type"], ()))):
        return None
    return {**event, "at": at}


def _is_about(event_type: str, kind: str) -> bool:
    return kind == ("prospect" if event_type in OF_PROSPECTS else "deal" if event_type in OF_DEALS else kind)


def _time(text: object) -> datetime | None:
    try:
        at = datetime.fromisoformat(str(text))
    except ValueError:
        return None
    return at if at.tzinfo else None


def kind_of(event: Json) -> str:
    """Return the type of record that an event is about."""
    return next(kind for kind in RECORD_TYPES if kind in event)


def faces(event: Json) -> list[Json]:
    """Return all that an event is: a deal won is an update of its status too, an update to the old value is nothing."""
    if event["type"] in OF_DEALS:
        status = event["type"].removeprefix("deal_")
        return [event, {**event, "type": "field_updated", "field": "status", "value": status}]
    if event["type"] != "field_updated" or "value" not in event:
        return [event]
    if "old" in event and is_same(event["old"], event["value"]):
        return []
    is_end = "deal" in event and event["field"] == "status" and event["value"] in {"won", "lost"}
    return [event, *([{**event, "type": f"deal_{event['value']}"}] if is_end else [])]


def takes(trigger: Json, workflow: str | None, event: Json) -> bool:
    """Tell whether a trigger of a workflow (None: of any) takes an event."""
    if trigger["trigger"] != event["type"]:
        return False
    if event["type"] == "link_clicked":
        return workflow in {None, event["workflow"]}
    if event["type"] == "page_visited":
        return any(_fits(pattern, event["url"]) for pattern in _as_list(trigger["url"]))
    if event["type"] == "field_updated":
        wanted = [cell(value) for value in _as_list(trigger["to"])] if "to" in trigger else None
        is_value = wanted is None or ("value" in event and cell(event["value"]) in wanted)
        return trigger.get("field") in {None, event["field"]} and is_value
    return True


def _as_list(one_or_many: object) -> list[Any]:
    return one_or_many if isinstance(one_or_many, list) else [one_or_many]


def _fits(pattern: str, url: str) -> bool:
    wanted = "://" in pattern
    form = ".*".join(re.escape(piece) for piece in _page(pattern, keeps_scheme=wanted).split("*"))
    page = _page(url, keeps_scheme=wanted)
    return bool(re.fullmatch(form, page) or re.fullmatch(form, f"{page}/"))


def _page(address: str, *, keeps_scheme: bool) -> str:
    scheme, separator, rest = address.rpartition("://")
    page = re.split("[?#]", rest)[0].rstrip("/")
    host, slash, path = page.partition("/")
    host = re.sub(r":(80|443)$", "", host.lower())
    return (scheme + separator if keeps_scheme else "") + host + slash + path
