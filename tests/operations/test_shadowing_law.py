"""The law of triggers that can never decide: without them, the settlement decides all the same."""

import re
from collections.abc import Iterable, Sequence
from datetime import timedelta

import msgspec
import pytest
from hypothesis import assume, event, example, given, settings
from hypothesis import strategies as st
from msgspec import UNSET, UnsetType

from crmflow.core.addresses import compile_pattern, covers
from crmflow.core.model import RECORD_TYPES, Enrollment, Event, RecordType, Scalar, Trigger, Workflow
from crmflow.core.replay import replay
from crmflow.core.settlement import Decision
from crmflow.core.shadowing import shadows
from crmflow.core.triggers import TRIGGERS, Rules
from tests.operations.worlds import START

PATTERNS = [
    *("acme.example/p*", "acme.example/p/*", "https://ACME.example/p", "*/p?q=1", "acme.example/p?q=1", "*.example/*"),
    *("acme.example:443/p", "*acme.example/P*", "*", "http*://acme.example:*/p"),
]
VALUES: list[Scalar] = ["won", "won", "lost", 5, "5", True, "true", None, ""]
PIECES = ["a", "A", "ß", "SS", "/", "?", "*", "*", ":80", ".", "=", "http://", "https://", "#"]

patterns = st.lists(st.sampled_from(PIECES), min_size=1, max_size=7).map("".join)
fillings = st.lists(st.sampled_from([*PIECES, "b", ""]), max_size=3).map("".join)


@st.composite
def triggers(draw: st.DrawFn, kind: RecordType) -> Trigger:
    """Draw a trigger that the type has."""
    often = {"prospect": ["page_visited", "field_updated"], "deal": ["deal_won", "field_updated"]}.get(kind, [])
    word = draw(st.sampled_from([*(word for word, its in TRIGGERS.items() if kind in its.types), *often, *often]))
    if word == "page_visited":
        return Trigger(word, url=tuple(draw(st.lists(st.sampled_from(PATTERNS), min_size=1, max_size=2))))
    if word == "field_updated":
        to = st.lists(st.sampled_from(VALUES), min_size=1, max_size=2).map(tuple)
        return Trigger(word, field=draw(st.sampled_from([None, "status", "amount"])), to=draw(st.none() | to))
    suspect = draw(st.sampled_from([None, "count"])) if word == "link_clicked" else None
    return Trigger(word, suspect=suspect)


@st.composite
def workflows(draw: st.DrawFn) -> Workflow:
    """Draw a workflow with triggers that likely get in each other's way."""
    kind = draw(st.sampled_from(RECORD_TYPES))
    drawn = draw(st.lists(triggers(kind), min_size=2, max_size=5))
    numbered = [msgspec.structs.replace(each, line=line) for line, each in enumerate(drawn, start=1)]
    return Workflow("w", kind, disenrollment_triggers=tuple(numbered))


@st.composite
def events(draw: st.DrawFn, workflow: Workflow) -> Event:
    """Draw an event that a trigger of the workflow likely takes, and others perhaps."""
    trigger = draw(st.sampled_from(workflow.disenrollment_triggers))
    url = draw(st.sampled_from([*trigger.url, *PATTERNS])).replace("*", draw(st.sampled_from(["x", "", "x?y"])))
    olds: list[Scalar | UnsetType] = [UNSET, UNSET, "won"]
    return Event(
        type=trigger.trigger,
        at=START + timedelta(hours=draw(st.integers(0, 2))),
        record_type=workflow.type,
        name="r",
        id=draw(st.sampled_from([None, "1"])),
        workflow="w",
        url=url,
        field=trigger.field or draw(st.sampled_from(["status", "amount"])),
        value=draw(st.sampled_from([*(trigger.to or ()), *VALUES])),
        old=draw(st.sampled_from(olds)),
        is_suspect=trigger.trigger == "link_clicked" and draw(st.booleans()),
    )


def _only(workflow: Workflow, kept: Iterable[Trigger]) -> Workflow:
    return msgspec.structs.replace(workflow, disenrollment_triggers=tuple(kept))


def _decided(workflow: Workflow, happened: Sequence[Event]) -> list[Decision]:
    enrolled = [Enrollment(id=1, record_id=1, workflow="w", enrolled_at=START)]
    return replay(Rules([workflow]), enrolled, [(1, each) for each in happened])


@settings(max_examples=150)
@given(st.data(), workflows())
def test_what_is_shadowed_never_decides(data: st.DataObject, workflow: Workflow) -> None:
    """Without the triggers that are said to be shadowed, any events are decided as with them, to the word."""
    shadowed = [each.trigger for each in shadows(workflow)]
    assume(shadowed)
    kept = _only(workflow, (each for each in workflow.disenrollment_triggers if each not in shadowed))
    happened = data.draw(st.lists(events(_only(workflow, shadowed)) | events(workflow), min_size=1, max_size=3))
    assert _decided(workflow, happened) == _decided(kept, happened)


@settings(max_examples=300)
@given(st.data(), workflows())
def test_what_shadows_takes_all(data: st.DataObject, workflow: Workflow) -> None:
    """An event that would end an enrollment by a shadowed trigger alone does so by those that shadow it alone."""
    found = shadows(workflow)
    assume(found)
    trigger, by = data.draw(st.sampled_from(found))
    happened = data.draw(events(_only(workflow, [trigger])))
    [decision] = _decided(_only(workflow, [trigger]), [happened])
    assume(decision.exit)
    [instead] = _decided(_only(workflow, by), [happened])
    assert instead.exit


@settings(max_examples=200)
@given(workflows())
def test_what_shadows_comes_first(workflow: Workflow) -> None:
    """Whatever shadows a trigger comes before it: in the table or, of one word, in the file."""
    order = list(TRIGGERS)
    for trigger, by in shadows(workflow):
        place = (order.index(trigger.trigger), trigger.line)
        assert all((order.index(each.trigger), each.line) < place for each in by)


@settings(max_examples=600)
@given(st.data(), patterns, patterns)
def test_what_is_covered_matches(data: st.DataObject, general: str, special: str) -> None:
    """A page that a pattern means is one that every pattern means that covers it."""
    wider = [re.sub(r"[^*/?]", "*", special), special.swapcase(), special.partition("?")[0], f"{special}?"]
    general = data.draw(st.sampled_from([general, *wider]))
    one, other = compile_pattern(general), compile_pattern(special)
    assume(covers(one, other))
    address = "".join(data.draw(fillings) if each == "*" else each for each in special)
    address += data.draw(st.sampled_from(["", "", "/", "?q", "#q"]))
    event(f"matches: {other.matches(address)}")
    assert one.matches(address) or not other.matches(address)


@given(patterns)
@example("*ßß")
def test_a_pattern_covers_itself(text: str) -> None:
    """Every pattern covers itself."""
    pattern = compile_pattern(text)
    assert covers(pattern, pattern)


@pytest.mark.parametrize(
    ("general", "special", "is_covered"),
    [
        ("acme.example/pricing*", "https://www.acme.example/pricing", False),
        ("acme.example/pricing*", "https://acme.example/pricing/team", True),
        ("acme.example/pricing*", "HTTPS://ACME.example:443/pricing/*/eu", True),
        ("https://acme.example/pricing*", "acme.example/pricing", False),
        ("*.acme.example/pricing", "www.ACME.example/pricing/", True),
        ("*.acme.example/pricing", "www.acme.example/PRICING", False),
        ("*.acme.example/*", "*.acme.example/demo", True),
        ("*.acme.example/demo", "*.acme.example/*", False),
        ("acme.example/demo", "acme.example/demo?plan=team", True),
        ("acme.example/demo?plan=team", "acme.example/demo", False),
        ("acme.example/demo?", "acme.example/demo", False),
        ("acme.example/demo?plan=*", "acme.example/demo?plan=team", True),
        ("acme.example:*/demo", "acme.example/demo", True),
        ("*/demo", "acme.example/*/demo", True),
        ("*/Demo", "*/demo", False),
    ],
)
def test_coverage_is_found(general: str, special: str, is_covered: bool) -> None:  # noqa: FBT001 - a case's answer
    """A pattern that plainly means all that another one means covers it."""
    assert covers(compile_pattern(general), compile_pattern(special)) is is_covered


def _shadowed(kind: RecordType, *declared: Trigger) -> list[tuple[int, list[int]]]:
    numbered = tuple(msgspec.structs.replace(each, line=line) for line, each in enumerate(declared, start=1))
    found = shadows(Workflow("w", kind, disenrollment_triggers=numbered))
    return [(trigger.line, [each.line for each in by]) for trigger, by in found]


def test_a_second_one_is_shadowed() -> None:
    """A trigger that stands there twice decides once, by the first."""
    assert _shadowed("prospect", Trigger("replied"), Trigger("hard_bounced"), Trigger("replied")) == [(3, [1])]


def test_clicks_are_shadowed_by_those_that_count_machines() -> None:
    """A link_clicked that counts suspect clicks takes all; one that does not leaves some to it."""
    strict, lenient = Trigger("link_clicked"), Trigger("link_clicked", suspect="count")
    assert _shadowed("prospect", lenient, strict) == [(2, [1])]
    assert _shadowed("prospect", strict, lenient) == []


def test_pages_are_shadowed_by_patterns_that_mean_them_all() -> None:
    """A page_visited is shadowed where each of its patterns is covered by one above."""
    above = (Trigger("page_visited", url=("a.example/p*",)), Trigger("page_visited", url=("a.example/q",)))
    assert _shadowed("prospect", *above, Trigger("page_visited", url=("a.example/q/", "a.example/p/x"))) == [
        (3, [2, 1])
    ]
    assert _shadowed("prospect", *above, Trigger("page_visited", url=("a.example/q", "a.example/r"))) == []


def test_updates_are_shadowed_by_wider_ones_above() -> None:
    """A field_updated is shadowed by one above for any field or value, not by one below."""
    wide, narrow = Trigger("field_updated", field="status"), Trigger("field_updated", field="status", to=("lead", 5))
    assert _shadowed("organization", wide, narrow) == [(2, [1])]
    assert _shadowed("organization", narrow, wide) == []
    assert _shadowed("organization", Trigger("field_updated", to=("5", "lead")), narrow) == [(2, [1])]
    assert _shadowed("organization", Trigger("field_updated", field="owner"), narrow) == []


def test_a_deal_that_becomes_won_is_won_already() -> None:
    """On deals, an update of the status to won or lost is shadowed by deal_won and deal_lost, wherever they stand."""
    update = Trigger("field_updated", field="status", to=("won", "lost"))
    assert _shadowed("deal", update, Trigger("deal_won"), Trigger("deal_lost")) == [(1, [2, 3])]
    assert _shadowed("deal", update, Trigger("deal_won")) == []
    assert _shadowed("deal", Trigger("deal_won"), Trigger("field_updated", to=("won",))) == []
