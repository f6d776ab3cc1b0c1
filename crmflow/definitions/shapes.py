"""What a value in a workflow file may be: each shape reads it, with complaints, and says the same as JSON Schema.

The two ways stand side by side so that what one takes the other takes; a rule, which looks at several values at once,
has the same two ways.
"""

import re
from collections.abc import Collection
from difflib import get_close_matches
from typing import Protocol

import msgspec

from crmflow.core.brake import LARGEST_LIMIT, PERCENTAGE_PATTERN
from crmflow.core.errors import CrmflowError
from crmflow.core.times import DURATION_PATTERN, LONGEST_DURATION, parse_duration
from crmflow.definitions.nodes import SHOWN_LENGTH, Listing, Mapping, Node, Refused, Report, Value, shown

JsonSchema = dict[str, object]


class Shape(Protocol):
    """One kind of value."""

    def read(self, node: Node, report: Report) -> object:
        """Return the value for crmflow's types; after a complaint what is returned means nothing."""

    def schema(self) -> JsonSchema:
        """Return the JSON Schema that takes exactly what `read` takes without a complaint."""


class MappingRule(Protocol):
    """What must hold between the values of one mapping."""

    def check(self, mapping: Mapping, report: Report) -> None:
        """Complain where it does not hold."""

    def schemas(self) -> list[JsonSchema]:
        """Return the JSON Schemas that must all hold."""


class Text(msgspec.Struct, frozen=True):
    """A text that matches the whole `pattern`; `wanted` says in words what is right."""

    noun: str
    about: str
    wanted: str = "write a text"
    pattern: str | None = None

    def read(self, node: Node, report: Report) -> object:
        """Return the text."""
        if isinstance(node, Value) and isinstance(node.value, str) and self._fits(node.value):
            return node.value
        refuse(self.noun, node, report, self._hint(node))
        return None

    def schema(self) -> JsonSchema:
        """Return a string, with the pattern where there is one."""
        pattern: JsonSchema = {"pattern": self.pattern} if self.pattern else {}
        return {"description": self.about, "type": "string", **pattern}

    def _fits(self, text: str) -> bool:
        return self.pattern is None or re.fullmatch(self.pattern, text) is not None

    def _hint(self, node: Node) -> str:
        if isinstance(node, Value) and not isinstance(node.value, str) and node.text and self._fits(node.text):
            return f"put it in quotes: {shown(node.text)}"
        return self.wanted


class Word(msgspec.Struct, frozen=True):
    """One of a few words."""

    noun: str
    about: str
    words: tuple[str, ...]

    def read(self, node: Node, report: Report) -> object:
        """Return the word."""
        if not isinstance(node, Value) or not isinstance(node.value, str):
            refuse(f"the {self.noun}", node, report, f"one of {', '.join(self.words)}")
            return None
        if node.value not in self.words:
            report.add(node.place, f"unknown {self.noun} {shown(node.value)}", nearest(node.value, self.words))
        return node.value

    def schema(self) -> JsonSchema:
        """Return an enum."""
        return {"description": self.about, "enum": list(self.words)}


class Duration(msgspec.Struct, frozen=True):
    """A length of time, `0d` up to a hundred years."""

    noun: str
    about: str

    def read(self, node: Node, report: Report) -> object:
        """Return the length as a timedelta."""
        if not isinstance(node, Value) or not isinstance(node.value, str):
            refuse(self.noun, node, report, self._hint(node))
            return None
        try:
            return parse_duration(node.value)
        except CrmflowError as error:
            refuse(self.noun, node, report, error.hint or error.what)
            return None

    def _hint(self, node: Node) -> str:
        if isinstance(node, Value) and node.text.isdecimal():
            return f"write the unit too: {node.text}d"
        return "write a whole number and a unit: 90s 15m 4h 3d 2w"

    def schema(self) -> JsonSchema:
        """Return a string whose pattern for people comes before the one that counts a hundred years."""
        limits = {unit: LONGEST_DURATION // parse_duration(f"1{unit}") for unit in "smhdw"}
        bounded = "|".join(f"{_up_to(limit)}{unit}" for unit, limit in limits.items())
        return {
            "description": self.about,
            "type": "string",
            "pattern": DURATION_PATTERN,
            "allOf": [{"pattern": f"^0*({bounded})$"}],
            "examples": ["0d", "4h", "3d", "2w"],
        }


class Share(msgspec.Struct, frozen=True):
    """A number from 0 up, or a percentage."""

    noun: str
    about: str

    def read(self, node: Node, report: Report) -> object:
        """Return the number, or the percentage as text."""
        value = node.value if isinstance(node, Value) else None
        if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= LARGEST_LIMIT:
            return value
        if isinstance(value, str) and re.fullmatch(PERCENTAGE_PATTERN, value):
            return value
        refuse(self.noun, node, report, "write a number, or a percentage of the active ones: 500, 10%")
        return None

    def schema(self) -> JsonSchema:
        """Return either."""
        number: JsonSchema = {"type": "integer", "minimum": 0, "maximum": LARGEST_LIMIT}
        return {"description": self.about, "anyOf": [number, {"type": "string", "pattern": PERCENTAGE_PATTERN}]}


class AnyScalar(msgspec.Struct, frozen=True):
    """A text, a number, true, false or, where the shape takes it, null."""

    noun: str
    about: str
    takes_null: bool
    wanted: str

    def read(self, node: Node, report: Report) -> object:
        """Return the scalar."""
        if isinstance(node, Value) and (self.takes_null or node.value is not None):
            return node.value
        refuse(self.noun, node, report, self.wanted)
        return None

    def schema(self) -> JsonSchema:
        """Return the types of JSON's scalars."""
        null = ["null"] if self.takes_null else []
        return {"description": self.about, "type": ["string", "number", "boolean", *null]}


class OneOrMany(msgspec.Struct, frozen=True):
    """A value that stands alone, or a list of at least one."""

    noun: str
    about: str
    alone: Shape
    item: Shape

    def read(self, node: Node, report: Report) -> object:
        """Return a list, of one where the value stands alone."""
        if not isinstance(node, Listing):
            return [self.alone.read(node, report)]
        if not node.items:
            report.add(node.place, f"{self.noun} can't be an empty list", "name at least one")
        return [self.item.read(each, report) for each in node.items]

    def schema(self) -> JsonSchema:
        """Return either."""
        many: JsonSchema = {"type": "array", "items": self.item.schema(), "minItems": 1}
        return {"description": self.about, "anyOf": [self.alone.schema(), many]}


class Listed(msgspec.Struct, frozen=True):
    """A list of mappings, none of which may give a key of `distinct` the text that another gives it."""

    noun: str
    about: str
    item: Shape
    distinct: str | None = None

    def read(self, node: Node, report: Report) -> object:
        """Return the list."""
        if not isinstance(node, Listing):
            refuse(self.noun, node, report, "write a list, items after dashes, or leave the key out")
            return None
        if self.distinct:
            self._refuse_repeats(self.distinct, node, report)
        return [self.item.read(each, report) for each in node.items]

    def schema(self) -> JsonSchema:
        """Return an array; JSON Schema has no word for what is distinct among its items."""
        return {"description": self.about, "type": "array", "items": self.item.schema()}

    def _refuse_repeats(self, key: str, listing: Listing, report: Report) -> None:
        first: dict[str, int] = {}
        for each in listing.items:
            word = each.word(key) if isinstance(each, Mapping) else None
            if not isinstance(each, Mapping) or word is None:
                continue
            place = each.entries[key][1].place
            if word in first:
                what = f"a second {key} {shown(word)} in {self.noun}, first in line {first[word]}"
                report.add(place, what, f"give each its own {key}")
            first.setdefault(word, place.line)


class Key(msgspec.Struct, frozen=True):
    """A key of a mapping and what it may be given."""

    shape: Shape
    is_required: bool = False


class Keyed(msgspec.Struct, frozen=True):
    """A mapping with known keys; `line_key` is under what name its line in the file is handed on."""

    noun: str
    about: str
    keys: dict[str, Key]
    rules: tuple[MappingRule, ...] = ()
    line_key: str | None = None

    def read(self, node: Node, report: Report) -> object:
        """Return a dict of what the keys are given."""
        if not isinstance(node, Mapping):
            refuse(self.noun, node, report, f"a mapping with the keys {', '.join(self.keys)}")
            return None
        self._refuse_unknown(node, report)
        self._refuse_missing(node, report)
        for rule in self.rules:
            rule.check(node, report)
        line = {self.line_key: node.place.line} if self.line_key else {}
        return line | {
            key: self.keys[key].shape.read(value, report)
            for key, (_, value) in node.entries.items()
            if key in self.keys
        }

    def schema(self) -> JsonSchema:
        """Return an object that takes no other keys, and the schemas of its rules."""
        rules = [schema for rule in self.rules for schema in rule.schemas()]
        return {
            "description": self.about,
            "type": "object",
            "properties": {key: each.shape.schema() for key, each in self.keys.items()},
            "required": [key for key, each in self.keys.items() if each.is_required],
            "additionalProperties": False,
            **({"allOf": rules} if rules else {}),
        }

    def _refuse_unknown(self, mapping: Mapping, report: Report) -> None:
        for key, (place, _) in mapping.entries.items():
            if key not in self.keys:
                report.add(place, f"{self.noun} has no key {shown(key)}", nearest(key, self.keys))

    def _refuse_missing(self, mapping: Mapping, report: Report) -> None:
        for key, each in self.keys.items():
            if each.is_required and key not in mapping.entries:
                report.add(mapping.place, f"{self.noun} needs the key {key}", f"write {key}: ...")


def refuse(noun: str, node: Node, report: Report, hint: str) -> None:
    """Complain that something can't be what the file gives it, unless that was complained about already."""
    if not isinstance(node, Refused):
        report.add(node.place, f"{noun} can't be {_described(node)}", hint)


def nearest(word: str, known: Collection[str]) -> str:
    """Return the hint that names the known word nearest to an unknown one, or all of them where none is near."""
    near = get_close_matches(word.lower(), known, n=1)
    return f"did you mean {near[0]}?" if near else f"known: {', '.join(known)}"


def _described(node: Node) -> str:
    match node:
        case Mapping():
            return "a mapping"
        case Listing():
            return "a list"
        case Value(value=None) | Value(value=""):
            return "empty"
        case Value(value=bool()):
            return node.text
        case Value(value=int() | float()):
            return f"the number {node.text:.{SHOWN_LENGTH}}"
    return shown(node.text) if isinstance(node, Value) else ""


def _up_to(limit: int) -> str:
    """Return the regular expression of the decimal numbers from 0 to a limit, without leading zeros."""
    digits = str(limit)
    lower = [
        f"{digits[:at]}[0-{int(digit) - 1}][0-9]{{{len(digits) - at - 1}}}"
        for at, digit in enumerate(digits)
        if digit != "0"
    ]
    return f"([0-9]{{1,{len(digits) - 1}}}|{'|'.join(lower)}|{digits})"
