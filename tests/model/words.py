"""What the machine plays with: few records, few moments, few words, so that they meet often."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import strategies as st

from crmflow.core.model import RecordType
from tests.model.plain import Json

Strategy = st.SearchStrategy

MOMENTS = st.integers(0, 40)
EARLY_MOMENTS = st.integers(0, 10)
"""Hours since the start."""


def at(hour: float) -> datetime:
    """Return the moment of an hour since the start."""
    return datetime(2026, 3, 1, tzinfo=UTC) + timedelta(hours=hour)


# --- records ---

KEYS: dict[str, Strategy[str]] = {
    "prospect": st.sampled_from(["ana", "bob@acme.example", "cyn-3", "new@acme.example"]),
    "organization": st.sampled_from(["org-a", "org-b"]),
    "deal": st.sampled_from(["D-1", "D-2"]),
}
EMAILS = st.sampled_from(
    ["ana@acme.example", "ANA@acme.example", "bob@acme.example", "new@acme.example", "cyn@b.example"]
)
NAMES: dict[str, Strategy[str]] = KEYS | {
    "prospect": KEYS["prospect"] | EMAILS,
    "deal": KEYS["deal"] | st.just("D-9"),
}
"""What records are called by: keys, emails, and one that nobody has."""

LINKS = st.lists(NAMES["prospect"], max_size=3)
STATUS = {
    "prospect": st.sampled_from(["lead", "customer", 5, "5", True, None]),
    "organization": st.sampled_from(["lead", "customer", 5]),
    "deal": st.sampled_from(["open", "won", "lost", None]),
}
AMOUNTS = st.sampled_from([5, 5.5, "5", "é"])
ORGANIZATIONS = st.sampled_from(["org-a", "org-a", None, "org-b"])
_FIELDS: dict[str, dict[str, Strategy[Any]]] = {
    "prospect": {"status": STATUS["prospect"], "organization": ORGANIZATIONS, "email": EMAILS},
    "organization": {"status": STATUS["organization"]},
    "deal": {"status": STATUS["deal"], "amount": AMOUNTS, "organization": ORGANIZATIONS},
}
FIELDS: dict[str, Strategy[Json]] = {
    kind: st.fixed_dictionaries({}, optional=fields) for kind, fields in _FIELDS.items()
}
NEW_RECORDS: list[tuple[RecordType, str, Json]] = [
    ("organization", "org-a", {}),
    ("prospect", "ana", {"email": "ana@acme.example", "status": "lead"}),
    ("prospect", "bob@acme.example", {"organization": "org-a"}),
    ("prospect", "cyn-3", {}),
    ("deal", "D-1", {"status": "open", "amount": 5}),
    ("deal", "D-2", {}),
]


# --- tables ---


@dataclass
class Table:
    """A file with rows: its text, how its name ends, and each row's line in it with its cells."""

    text: str
    suffix: str
    rows: list[tuple[int, Json]]

    @property
    def is_typed(self) -> bool:
        """Tell whether the cells are more than text."""
        return self.suffix == ".jsonl"

    @property
    def names(self) -> list[tuple[int, str]]:
        """Return the name that each row gives, an empty one where it gives none."""
        return [(line, cells.get("key", "")) for line, cells in self.rows]


def _lines(rows: Iterable[Json]) -> Table:
    rows = list(rows)
    text = "".join(json.dumps(row) + "\n" for row in rows)
    return Table(text, ".jsonl", list(enumerate(rows, start=1)))


def _csv(columns: Iterable[str], rows: Iterable[Json]) -> Table:
    cells = [{column: _cell(row.get(column)) for column in columns} for row in rows]
    text = "".join(";".join(line) + "\n" for line in [list(columns), *(list(row.values()) for row in cells)])
    return Table(text, ".csv", list(enumerate(cells, start=2)))


def _cell(value: object) -> str:
    return "" if value is None else value if isinstance(value, str) else json.dumps(value)


def _tables(kind: str) -> Strategy[Table]:
    fields = dict(_FIELDS[kind])
    if kind == "deal":
        fields["prospects"] = LINKS.map(" ".join)
    rows = st.lists(st.fixed_dictionaries({"key": KEYS[kind] | st.just("")}, optional=fields), min_size=1, max_size=5)
    columns = ["key", *fields]
    tables = rows.map(_lines) | rows.map(lambda rows: _csv(columns, rows))
    if kind == "prospect":
        by_email = st.lists(st.fixed_dictionaries({"email": EMAILS}, optional={"status": fields["status"]}), max_size=4)
        tables |= by_email.map(lambda rows: _csv(["email", "status"], rows)) | by_email.filter(bool).map(_lines)
    return tables


TABLES = {kind: _tables(kind) for kind in KEYS}
SELECTIONS = {
    kind: st.lists(NAMES[kind] | st.just("") | NAMES[kind], max_size=5)
    .map(lambda names: [{"key": name, "remark": "x"} for name in names])
    .flatmap(lambda rows: st.sampled_from([_lines(rows), _csv(["remark", "key"], rows)]))
    for kind in KEYS
}


# --- workflows ---

_STANDARD = {"welcome": "prospect", "nurture": "prospect", "deals": "deal", "accounts": "organization"}
_NAMES_AND_TYPES = [*_STANDARD.items(), ("nurture", "deal")]
WORKFLOWS = st.sampled_from(list(_STANDARD))
_EASY = ["replied", "conversation_started", "hard_bounced", "unsubscribed", "spam_reported", "meeting_booked"]
_PLAIN = ["link_clicked", *_EASY]
_URLS = ["https://www.acme.example/pricing*", "acme.example/docs", "*/demo"]
_UPDATED: list[Json] = [
    {"trigger": "field_updated"},
    {"trigger": "field_updated", "field": "status"},
    {"trigger": "field_updated", "field": "status", "to": ["customer", 5]},
    {"trigger": "field_updated", "field": "amount", "to": ["5", None]},
    {"trigger": "field_updated", "to": [True, "lead"]},
]
_TRIGGERS: dict[str, list[Json]] = {
    "prospect": [
        *({"trigger": word} for word in _PLAIN),
        {"trigger": "page_visited", "url": _URLS[:1]},
        {"trigger": "page_visited", "url": _URLS[1:]},
        *_UPDATED,
    ],
    "organization": _UPDATED,
    "deal": [{"trigger": "deal_won"}, {"trigger": "deal_lost"}, *_UPDATED],
}
_STEPS = [
    [],
    [("intro", "0d")],
    [("intro", "0d"), ("follow-up", "4h")],
    [("intro", "2h"), ("middle", "60m"), ("follow-up", "6h")],
    [("follow-up", "1h"), ("intro", "3600s")],
]


def _definition(name_and_type: tuple[str, str]) -> Strategy[Json]:
    name, kind = name_and_type
    steps = st.sampled_from(_STEPS).map(
        lambda steps: [{"name": name, "kind": "email", "after": after} for name, after in steps]
    )
    some = st.sampled_from(_TRIGGERS[kind])
    triggers = st.lists(some, min_size=4, max_size=8) | st.lists(some, max_size=2)
    return st.fixed_dictionaries(
        {"workflow": st.just(name), "type": st.just(kind), "steps": steps, "disenrollment_triggers": triggers}
    )


DEFINITIONS = st.lists(
    st.sampled_from(_NAMES_AND_TYPES).flatmap(_definition),
    min_size=1,
    max_size=3,
    unique_by=lambda each: str(each["workflow"]),
)
ALL_DEFINITIONS = st.tuples(*(_definition((name, kind)) for name, kind in _STANDARD.items())).map(list)
ENROLLMENTS = st.lists(
    st.tuples(
        st.sampled_from(
            [(name, key) for name, kind in _STANDARD.items() for type_, key, _ in NEW_RECORDS if type_ == kind]
        ),
        EARLY_MOMENTS,
    ).map(lambda drawn: (*drawn[0], drawn[1])),
    min_size=8,
    max_size=16,
)
"""Workflow, record and hour."""


# --- lines of logs ---


def _written(hour: float, spelling: int) -> str:
    moment = at(hour)
    forms = (
        moment.strftime("%Y-%m-%dT%H:%M:%SZ"),
        (moment + timedelta(hours=1)).strftime("%Y-%m-%dT%H:%M:%S+01:00"),
        moment.strftime("%Y-%m-%dT%H:%M:%S.000000Z"),
    )
    return forms[spelling]


_ODD_HOURS = {41: 3.25, 42: 7.5, 43: 50, 44: 60}
_HOURS = st.integers(0, 44).map(lambda number: _ODD_HOURS.get(number, number))
_TIMES = st.builds(_written, _HOURS, st.integers(0, 2))
_IDS = st.fixed_dictionaries({}, optional={"id": st.sampled_from([f"e-{number}" for number in range(1, 8)])})
_VALUES = st.fixed_dictionaries(
    {}, optional={"value": st.sampled_from(["lead", "customer", 5, None]), "old": st.sampled_from(["lead", 5])}
)
_PAGES = [
    "https://WWW.acme.example:443/pricing/eu#top",
    "http://acme.example/docs/?page=2",
    "https://acme.example/demo",
    "https://acme.example/Docs",
]
_PROSPECTS = st.sampled_from(["ana", "bob@acme.example", "ANA@acme.example", "new@acme.example", "ana", "cyn-3"])
_NAMED = st.fixed_dictionaries({"prospect": _PROSPECTS})
_WORKFLOW = st.fixed_dictionaries({"workflow": st.sampled_from([*_STANDARD, *_STANDARD, "gone"])})


def _joined(*parts: Strategy[Json]) -> Strategy[Json]:
    return st.tuples(*parts).map(
        lambda dictionaries: {name: value for each in dictionaries for name, value in each.items()}
    )


def _typed(*words: str) -> Strategy[Json]:
    return st.fixed_dictionaries({"type": st.sampled_from(words)})


def _updates(kind: str) -> Strategy[Json]:
    names = st.fixed_dictionaries({kind: NAMES[kind]})
    loose = st.fixed_dictionaries({"field": st.sampled_from(["status", "amount", "color"])})
    exact = [st.fixed_dictionaries({"field": st.just(name), "value": values}) for name, values in _FIELDS[kind].items()]
    return _joined(_typed("field_updated"), names, st.one_of(_joined(loose, _VALUES), *exact))


_STEP = st.fixed_dictionaries({"step": st.sampled_from(["intro", "middle", "follow-up", "none"])})
_ANYBODY = st.one_of(*(st.fixed_dictionaries({kind: NAMES[kind]}) for kind in KEYS))
_EVENTS = st.one_of(
    _joined(_typed("link_clicked"), _NAMED, _WORKFLOW),
    _joined(_typed(*_EASY, "email_opened", "opened_twice"), _NAMED),
    _joined(_typed("page_visited"), _NAMED, st.fixed_dictionaries({"url": st.sampled_from(_PAGES)})),
    _joined(_typed("deal_won", "deal_lost"), st.fixed_dictionaries({"deal": NAMES["deal"]})),
    _joined(_typed("step_completed"), _ANYBODY, _WORKFLOW, _STEP),
    *(_updates(kind) for kind in KEYS),
)
_TIMED = _joined(_EVENTS, _IDS, st.fixed_dictionaries({"time": _TIMES}))
_BROKEN = st.sampled_from(
    [
        b"not JSON",
        b'{"type": "replied", "prospect": "ana"}',
        b'{"type": "replied", "prospect": "cyn-3", "time": "2026-03-01"}',
        b'{"type": "deal_won", "prospect": "ana", "time": "2026-03-01T00:00:00Z"}',
        b'{"type": "page_visited", "prospect": "ana", "time": "2026-03-01T00:00:00Z"}',
        b'"a text"',
    ]
)
_GOOD = _TIMED.map(lambda event: json.dumps(event, ensure_ascii=False).encode())
_LINES: Strategy[bytes] = st.integers(0, 19).flatmap(lambda number: {7: st.just(b""), 8: _BROKEN}.get(number, _GOOD))
MANY_LINES = st.lists(_LINES, min_size=1, max_size=8)
"""Lines of a log, without their newlines: mostly events, seldom something else."""
