"""The JSON Schema that editors check with says what `load` says."""

import json
import re
from collections.abc import Callable, Iterator
from copy import deepcopy
from itertools import combinations
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from jsonschema import Draft7Validator

from crmflow.core.errors import DefinitionsError
from crmflow.core.model import RECORD_TYPES
from crmflow.core.times import LONGEST_DURATION, parse_duration
from crmflow.core.triggers import TRIGGERS
from crmflow.definitions import load, schema

Json = Any
Write = Callable[..., str]

_RAW = re.compile("[\x7f-\x9f\u2028\u2029\ufffe\uffff]")


VALIDATOR = Draft7Validator(json.loads(json.dumps(schema()).replace('$"', r'\\Z"')))
"""Reads patterns as ECMA 262 does, where $ stands at the very end; in Python it stands before a last newline too."""

texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=8)
names = st.from_regex(r"[A-Za-z0-9_-]{1,64}", fullmatch=True)
step_names = st.lists(names, min_size=1, max_size=3).map(" ".join)
durations = st.integers(0, 5214).flatmap(lambda number: st.sampled_from("smhdw").map(lambda unit: f"{number}{unit}"))
scalars = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63) + 1, 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | texts
)
values = scalars.filter(lambda value: value is not None)
patterns = st.from_regex(r"[!-~]+", fullmatch=True)
NARROWING = {
    "url": patterns | st.lists(patterns, min_size=1, max_size=3),
    "field": texts.filter(bool),
    "to": values | st.lists(scalars, min_size=1, max_size=3),
    "suspect": st.just("count"),
}


@st.composite
def triggers(draw: st.DrawFn, record_type: str) -> Json:
    """Draw a trigger that the type has, with the keys that it takes."""
    word = draw(st.sampled_from([word for word, kind in TRIGGERS.items() if record_type in kind.types]))
    kind = TRIGGERS[word]
    chosen = [*kind.required, *(key for key in kind.optional if draw(st.booleans()))]
    return {"trigger": word} | {key: draw(NARROWING[key]) for key in chosen}


@st.composite
def documents(draw: st.DrawFn) -> Json:
    """Draw a workflow as a file may declare it."""
    record_type = draw(st.sampled_from(RECORD_TYPES))
    step = st.fixed_dictionaries(
        {"name": step_names, "kind": st.sampled_from(["email", "task", "wait"]), "after": durations}
    )
    optional = {
        "description": texts,
        "max_exits_per_run": st.integers(0, 10**9 - 1) | st.integers(0, 100).map("{}%".format),
        "steps": st.lists(step, max_size=3, unique_by=lambda each: each["name"]),
        "disenrollment_triggers": st.lists(triggers(record_type), max_size=3),
    }
    return draw(st.fixed_dictionaries({"workflow": names, "type": st.just(record_type)}, optional=optional))


KEYS = [
    "workflow",
    "type",
    "description",
    "steps",
    "disenrollment_triggers",
    "name",
    "kind",
    "after",
    "trigger",
    *NARROWING,
]
ODDITIES: list[Json] = [
    *["", " ", "a\n", "a b", "a  b", " a", "a\tb", "a" * 64, "a" * 65, "é", "\x1c", "\x85", "\ufeff", "a\u2003b", "<<"],
    *["0", "3 d", "3D", "36500d", "36501d", "5214w", "5215w", "052560000m", "52560001m", "1234567890s", "٣d", "3d\n"],
    *[None, True, False, 0, 5, -1, 1.5, [], {}, [None], [[]], ["a"], {"trigger": "replied"}, {"name": "a"}],
    *[*RECORD_TYPES, *TRIGGERS, "email", "task", "wait", "link_click"],
]


def _spots(node: Json) -> Iterator[tuple[Json, Json]]:
    """Walk over every place of a document: the mapping or list, and the key or index in it."""
    for key in list(node) if isinstance(node, dict) else range(len(node)) if isinstance(node, list) else ():
        yield node, key
        yield from _spots(node[key])


def _change(spot: tuple[Json, Json], change: str, value: Json = None, *, key: str = "") -> None:
    """Replace or remove what stands in a place, or add to it (to what can't be added to: replace it)."""
    parent, place = spot
    if change == "remove":
        del parent[place]
    elif change == "add" and isinstance(parent[place], dict):
        parent[place][key] = value
    elif change == "add" and isinstance(parent[place], list):
        parent[place].append(value)
    else:
        parent[place] = value


@st.composite
def mutants(draw: st.DrawFn) -> Json:
    """Draw a workflow in which up to three things were replaced, removed or added."""
    root = {"root": deepcopy(draw(documents()))}
    for _ in range(draw(st.integers(1, 3))):
        inner = list(_spots(root["root"]))
        if not inner:
            break
        spot = inner[draw(st.integers(0, len(inner) - 1))]
        change = draw(st.sampled_from(["replace", "remove", "add"]))
        value = deepcopy(draw(st.sampled_from(ODDITIES) | texts))
        _change(spot, change, value, key=draw(st.sampled_from(KEYS) | texts))
    return root["root"]


def _yaml(document: Json) -> str:
    """Write a document as JSON that is YAML too: what YAML does not take raw goes as an escape."""
    text = json.dumps(document, ensure_ascii=False)
    return _RAW.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def _has_repeated_step(document: Json) -> bool:
    steps = document.get("steps") if isinstance(document, dict) else None
    found = [
        each["name"]
        for each in (steps if isinstance(steps, list) else [])
        if isinstance(each, dict) and isinstance(each.get("name"), str)
    ]
    return len(set(found)) < len(found)


def _is_taken(path: str) -> bool:
    try:
        load([path])
    except DefinitionsError:
        return False
    return True


def _assert_agreement(document: Json, write: Write) -> None:
    expected = VALIDATOR.is_valid(document) and not _has_repeated_step(document)
    assert _is_taken(write(_yaml(document))) == expected, document


@given(document=documents())
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=150, deadline=None)
def test_both_take_what_is_right(write: Write, document: Json) -> None:
    """Every workflow made after SPEC is taken by the reader and by the schema."""
    VALIDATOR.validate(document)
    [definition] = load([write(_yaml(document))])
    assert definition.workflow.workflow == document["workflow"]
    assert len(definition.workflow.disenrollment_triggers) == len(document.get("disenrollment_triggers", []))


@given(document=mutants())
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=200, deadline=None)
def test_what_one_takes_the_other_takes(write: Write, document: Json) -> None:
    """Reader and schema agree on every document; only that step names are distinct is beyond a schema."""
    _assert_agreement(document, write)


@pytest.mark.parametrize("record_type", RECORD_TYPES)
@pytest.mark.parametrize("word", TRIGGERS)
def test_both_know_which_trigger_takes_which_key(record_type: str, word: str, write: Write) -> None:
    """Reader and schema agree on every trigger of every type with every choice of keys."""
    taken = 0
    for count in range(len(NARROWING) + 1):
        for keys in combinations(NARROWING, count):
            trigger = {"trigger": word, **{key: "count" if key == "suspect" else "x" for key in keys}}
            document = {"workflow": "w", "type": record_type, "disenrollment_triggers": [trigger]}
            _assert_agreement(document, write)
            taken += VALIDATOR.is_valid(document)
    kind = TRIGGERS[word]
    assert taken == (2 ** len(kind.optional) if record_type in kind.types else 0)


FULL: Json = {
    "workflow": "w",
    "type": "prospect",
    "description": "d",
    "steps": [{"name": "a", "kind": "email", "after": "3d"}],
    "disenrollment_triggers": [
        {"trigger": "page_visited", "url": ["a"]},
        {"trigger": "field_updated", "field": "f", "to": ["v"]},
    ],
}
SPOT_COUNT = len(list(_spots({"root": FULL})))


@pytest.mark.parametrize("spot", range(SPOT_COUNT))
def test_both_say_the_same_of_every_oddity_in_every_place(spot: int, write: Write) -> None:
    """Reader and schema agree when any one thing in a workflow is another, is missing, or has company."""
    for value in ODDITIES:
        for change in ("replace", "add"):
            root = {"root": deepcopy(FULL)}
            _change(list(_spots(root))[spot], change, deepcopy(value), key="url")
            _assert_agreement(root["root"], write)
    if spot:  # the first place is the document's own
        root = {"root": deepcopy(FULL)}
        _change(list(_spots(root))[spot], "remove")
        _assert_agreement(root["root"], write)


@pytest.mark.parametrize("unit", "smhdw")
def test_both_count_a_hundred_years(unit: str, write: Write) -> None:
    """The schema's expression ends exactly where the longest duration does, in every unit, leading zeros or not."""
    limit = LONGEST_DURATION // parse_duration(f"1{unit}")
    for number in {0, 9, limit // 2, limit - 1, limit, limit + 1, limit + 10, limit * 10, 999_999_999}:
        for text in {f"{number}{unit}", f"{number:09}{unit}"}:
            _assert_agreement(FULL | {"steps": [{"name": "a", "kind": "wait", "after": text}]}, write)


def test_schema_is_one() -> None:
    """The schema is valid by its own draft, and plain JSON."""
    Draft7Validator.check_schema(schema())
    assert json.loads(json.dumps(schema())) == schema()


def test_schema_tells_editors_every_key_and_word() -> None:
    """Each key comes with words for its reader, each trigger of SPEC's table is offered and explained."""
    declared: Json = schema()
    step = declared["properties"]["steps"]["items"]
    trigger = declared["properties"]["disenrollment_triggers"]["items"]
    for each in (declared, step, trigger):
        assert all(value["description"] for value in each["properties"].values())
    words = trigger["properties"]["trigger"]
    assert words["enum"] == list(TRIGGERS)
    assert all(f"- {word} (" in words["description"] for word in TRIGGERS)
