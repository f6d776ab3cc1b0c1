"""What a scenario file declares: who must leave a workflow when certain events happen, and who must stay.

An event is written as in a log, key by key, and handed on as the line that a log would have: one room understands
events, and this is not it.
"""

import re
from datetime import datetime

import msgspec

from crmflow.core.errors import CrmflowError
from crmflow.core.model import RECORD_TYPES
from crmflow.core.times import parse_time
from crmflow.core.triggers import EVENT_RECORD_TYPES, TRIGGERS
from crmflow.definitions.nodes import Listing, Mapping, Node, Report, Value, shown
from crmflow.definitions.reading import Subject
from crmflow.definitions.shapes import (
    AnyScalar,
    JsonSchema,
    Key,
    Keyed,
    Listed,
    OneOrMany,
    Shape,
    Text,
    Word,
    nearest,
    refuse,
)

SUFFIX = ".scenarios"
"""What stands before the ending of a scenario file: `welcome.scenarios.yaml` is beside `welcome.yaml`."""

SUBJECT = Subject(
    noun="list of scenarios",
    beginning="scenarios:",
    missing=(
        "make it: {scenarios: [{name: a reply ends it, enrolled: 2026-03-01T08:00:00Z, events:"
        " [{type: replied, time: 2026-03-02T10:00:00Z, prospect: ana}],"
        " leaves: {ana: {at: 2026-03-02T10:00:00Z, by: replied}}}]}"
    ),
)


_PATH = re.compile(rf"\A(.*?)(?:{re.escape(SUFFIX)})?(\.[^./]*)?\Z", re.DOTALL)
"""What is before the suffix, where there is one, and the ending."""


class Leaving(msgspec.Struct, frozen=True):
    """When a record must leave and by what: a trigger's word, or `completed`."""

    at: datetime
    by: str


class ScenarioEvent(msgspec.Struct, frozen=True):
    """An event at its place in the file (from 1), as the line of a log."""

    line: int
    column: int
    log_line: bytes


class Scenario(msgspec.Struct, frozen=True):
    """Records that are enrolled at one time, what happens, and what must become of each: it stands in line `line`."""

    name: str
    line: int
    enrolled: datetime
    events: tuple[ScenarioEvent, ...] = ()
    leaves: dict[str, Leaving] = {}
    stays: tuple[str, ...] = ()


class ScenarioFile(msgspec.Struct, frozen=True):
    """What a whole file declares."""

    scenarios: tuple[Scenario, ...]


def is_scenario_file(path: str) -> bool:
    """Tell by its name whether a file holds scenarios, not a workflow."""
    return path == beside(path)[1]


def beside(path: str) -> tuple[str, str]:
    """Return the paths of a workflow's file and of its scenario file, given either."""
    root, ending = _PATH.findall(path)[0]
    return f"{root}{ending}", f"{root}{SUFFIX}{ending}"


class _Time(msgspec.Struct, frozen=True):
    """A moment, RFC 3339 with an offset."""

    noun: str
    about: str

    def read(self, node: Node, report: Report) -> object:
        """Return the moment in UTC."""
        try:
            return parse_time(node.value if isinstance(node, Value) and isinstance(node.value, str) else "")
        except CrmflowError as error:
            refuse(self.noun, node, report, error.hint or error.what)
            return None

    def schema(self) -> JsonSchema:
        """Return a string of that format."""
        return {"description": self.about, "type": "string", "format": "date-time"}


class _Name(msgspec.Struct, frozen=True):
    """What a record is called, or an event's id: a text, or a whole number as it is written."""

    noun: str
    about: str

    def read(self, node: Node, report: Report) -> object:
        """Return the text."""
        if isinstance(node, Value) and node.value != "" and type(node.value) in {str, int}:
            return node.text
        refuse(self.noun, node, report, "write a text")
        return None

    def schema(self) -> JsonSchema:
        """Return a text or a whole number."""
        return {"description": self.about, "type": ["string", "integer"], "minLength": 1}


class _ByRecord(msgspec.Struct, frozen=True):
    """A mapping whose keys are the records of the scenario."""

    noun: str
    about: str
    item: Shape

    def read(self, node: Node, report: Report) -> object:
        """Return a dict of what each record is given."""
        if not isinstance(node, Mapping):
            refuse(self.noun, node, report, "write RECORD: {at: TIME, by: TRIGGER}")
            return None
        return {record: self.item.read(each, report) for record, (_, each) in node.entries.items()}

    def schema(self) -> JsonSchema:
        """Return an object with any keys."""
        return {"description": self.about, "type": "object", "additionalProperties": self.item.schema()}


class _LogLine(msgspec.Struct, frozen=True):
    """An event, handed on as the line of a log."""

    said: Keyed

    def read(self, node: Node, report: Report) -> object:
        """Return the line and where in the file it comes from."""
        said = self.said.read(node, report)
        return {"line": node.place.line, "column": node.place.column, "log_line": msgspec.json.encode(said)}

    def schema(self) -> JsonSchema:
        """Return what the event may say."""
        return self.said.schema()


class _Expectations:
    """Something is expected of every record that an event is about, and one thing only."""

    def check(self, mapping: Mapping, report: Report) -> None:
        leaving, staying = _records(mapping.get("leaves")), _records(mapping.get("stays"))
        if not leaving and not staying:
            report.add(mapping.place, "a scenario expects something", "say who leaves, or who stays: stays: RECORD")
            return
        told: set[str] = set()
        for each in (*leaving, *staying):
            if each.text in told:
                report.add(each.place, f"a second expectation of {shown(each.text)}", "keep one")
            told.add(each.text)
        for each in _named(mapping.get("events")):
            if each.text not in told:
                near = nearest(each.text, told)
                report.add(each.place, f"nothing is expected of {shown(each.text)}", f"{near}; or say: stays: ...")

    def schemas(self) -> list[JsonSchema]:
        return [{"anyOf": [{"required": [key]} for key in ("leaves", "stays")]}]


def _records(node: Node | None) -> list[Value]:
    """Return the records of which something is expected, at their places."""
    match node:
        case Mapping():
            return [Value(place, record, record) for record, (place, _) in node.entries.items()]
        case Listing():
            return [each for each in node.items if isinstance(each, Value)]
        case Value():
            return [node]
    return []


def _named(events: Node | None) -> list[Value]:
    """Return the records that events are about."""
    mappings = [each for each in events.items if isinstance(each, Mapping)] if isinstance(events, Listing) else []
    named = [each.get(kind) for each in mappings for kind in RECORD_TYPES]
    return [each for each in named if isinstance(each, Value)]


def _text(noun: str, about: str) -> Text:
    return Text(noun, about, pattern=r"^[\s\S]+$")


def _value(noun: str, about: str) -> AnyScalar:
    return AnyScalar(noun, about, takes_null=True, wanted="write a single value")


_EVENT = Keyed(
    noun="an event",
    about="An event, as a line of a log says it.",
    keys={
        "type": Key(Word("type of event", "What happened.", words=tuple(EVENT_RECORD_TYPES)), is_required=True),
        "time": Key(_Time("time", "When it happened."), is_required=True),
        **{each: Key(_Name(f"a {each}", f"The {each} that it is about.")) for each in RECORD_TYPES},
        "id": Key(_Name("id", "The event's id.")),
        "workflow": Key(_text("workflow", "The workflow that a click or a step belongs to.")),
        "step": Key(_text("step", "The step that was completed.")),
        "url": Key(_text("url", "The address of the page.")),
        "field": Key(_text("field", "The field that was updated.")),
        "value": Key(_value("value", "The field's new value.")),
        "old": Key(_value("old", "The field's value before.")),
    },
)

_LEAVING = Keyed(
    noun="who leaves",
    about="When and by what a record must leave.",
    keys={
        "at": Key(_Time("at", "When: the time of the event that ends it."), is_required=True),
        "by": Key(Word("cause", "By what: a trigger, or completed.", words=(*TRIGGERS, "completed")), is_required=True),
    },
)

_STAYING = _Name("a record that stays", "A record.")
_SCENARIO = Keyed(
    noun="a scenario",
    about="What happens to records that are in the workflow, and what must become of them.",
    keys={
        "name": Key(
            _text("a scenario's name", "What it shows, for people; no two scenarios of a file share a name."),
            is_required=True,
        ),
        "enrolled": Key(_Time("enrolled", "When its records were enrolled."), is_required=True),
        "events": Key(Listed("events", "What happens, in any order; may be left out.", item=_LogLine(_EVENT))),
        "leaves": Key(_ByRecord("leaves", "Who must leave, when, and by what.", item=_LEAVING)),
        "stays": Key(OneOrMany("stays", "Who must stay: one record or a list.", alone=_STAYING, item=_STAYING)),
    },
    rules=(_Expectations(),),
    line_key="line",
)

SCENARIOS = Keyed(
    noun="a scenario file",
    about="Scenarios for the workflow beside it: crmflow workflow test runs them.",
    keys={
        "scenarios": Key(
            Listed("scenarios", "The scenarios, each for itself.", item=_SCENARIO, distinct="name"), is_required=True
        )
    },
)
"""What a whole file may be."""
