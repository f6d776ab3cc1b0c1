"""Our own JSONL: what a line of a log is, and where reading goes on."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import UNSET

from crmflow.core.model import Event, Reject
from crmflow.core.triggers import EVENT_RECORD_TYPES, WITHOUT_EFFECT_TYPES, Interest, Rules
from crmflow.sources import jsonl
from crmflow.sources.batches import Batch, Passed
from crmflow.sources.jsonl import decode, decode_line
from crmflow.sources.logs import KEPT_BYTES, MAX_LINE_BYTES, Piece, open_log
from crmflow.sources.objects import LineError
from crmflow.sources.ordinary import ordinary

NO_REPLIES = Interest(frozenset({"replied"}), lambda _url: False)
NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)
TIME = "2026-03-01T09:30:00Z"
CLICK: dict[str, Any] = {"type": "link_clicked", "time": TIME, "prospect": "ana@acme.example", "workflow": "welcome"}
UPDATE: dict[str, Any] = {"type": "field_updated", "time": TIME, "deal": "D-9", "field": "amount"}


def read(data: bytes, offset: int = 0, line: int = 1) -> Batch:
    """Decode bytes that lie at an offset of a log and end it."""
    return decode(Piece(data, offset, line, is_last=True), NOW)


def outcome(line: bytes | dict[str, Any]) -> Event | Passed | Reject | None:
    """Return what one line is."""
    data = line if isinstance(line, bytes) else json.dumps(line).encode()
    return decode_line(data, line=7, offset=100, now=NOW)


def event(**keys: object) -> Event:
    """Return the event that a line with these keys is."""
    found = outcome(keys)
    assert isinstance(found, Event), found
    return found


def reason(line: bytes | dict[str, Any]) -> str:
    """Return why a line is a reject."""
    found = outcome(line)
    assert isinstance(found, Reject), found
    return found.reason


# --- events -----------------------------------------------------------------------------------------------------------


def test_the_examples_of_the_format_are_events() -> None:
    """Every key arrives, the time in UTC."""
    batch = read(
        b'{"id": "e-1", "type": "link_clicked", "time": "2026-03-01T09:30:00Z", "prospect": "ana@acme.example",'
        b' "workflow": "welcome", "url": "https://acme.example/a"}\n'
        b'{"id": "e-2", "type": "field_updated", "time": "2026-03-01T10:00:00+01:00", "deal": "D-9",'
        b' "field": "amount", "value": 500, "old": 400}\n'
    )
    click = Event(
        type="link_clicked",
        at=datetime(2026, 3, 1, 9, 30, tzinfo=UTC),
        record_type="prospect",
        name="ana@acme.example",
        line=1,
        id="e-1",
        workflow="welcome",
        url="https://acme.example/a",
    )
    update = Event(
        type="field_updated",
        at=datetime(2026, 3, 1, 9, tzinfo=UTC),
        record_type="deal",
        name="D-9",
        line=2,
        id="e-2",
        field="amount",
        value=500,
        old=400,
    )
    assert batch.events == [click, update]
    assert (batch.lines, batch.rejects, batch.incomplete, batch.end_line) == (2, [], 0, 3)


@pytest.mark.parametrize("record_type", ["prospect", "organization", "deal"])
@pytest.mark.parametrize(("name", "text"), [("x", "x"), (12, "12"), (0, "0"), (-3, "-3"), (2**70, str(2**70))])
def test_a_key_and_an_id_may_be_integers(record_type: str, name: object, text: str) -> None:
    """They are kept as their decimal text, however large."""
    found = event(type="step_completed", time=TIME, workflow="w", step="s", id=name, **{record_type: name})
    assert (found.record_type, found.name, found.id) == (record_type, text, text)


@pytest.mark.parametrize("value", ["", "x", 5, 0, 1.5, True, False, None, 2**63 - 1, -(2**63)])
def test_a_value_is_any_scalar_and_null_is_one(value: object) -> None:
    """It differs from a value that is not said."""
    found = event(**UPDATE, value=value, old=value)
    assert found.value is found.old or found.value == found.old
    assert (found.value, type(found.value)) == (value, type(value))
    assert event(**UPDATE).value is UNSET
    assert event(**UPDATE).old is UNSET


def test_null_is_as_if_a_key_were_absent() -> None:
    """Exporters write every column."""
    nulls = dict.fromkeys(("id", "organization", "deal", "url", "step", "field"))
    assert event(**CLICK, **nulls) == event(**CLICK)


def test_an_empty_id_is_none() -> None:
    """Exporters write that too; in a tie it counts as what it is."""
    assert event(**CLICK | {"id": ""}) == event(**CLICK | {"id": None})


def test_unknown_keys_may_hold_any_json() -> None:
    """They make no difference."""
    extra = {"ip": "10.0.0.1", "big": 2**80, "nested": [{"a": [None]}], "odd": "a\0b", "type ": 1, "\ud800": "\udfff"}
    assert event(**CLICK, **extra) == event(**CLICK)


def test_white_space_around_and_within_a_line_makes_no_difference() -> None:
    """Nor do a carriage return, escapes, and separators of other worlds inside text."""
    line = json.dumps(CLICK | {"url": 'a\u2028b\u0085c\x0bd"e\\f'}, ensure_ascii=False)
    for data in (line, f" \t{line} \r", line.replace(",", " ,\t"), line.replace("\u2028", "\\u2028")):
        found = outcome(data.encode())
        assert isinstance(found, Event)
        assert found.url == 'a\u2028b\u0085c\x0bd"e\\f'


@pytest.mark.parametrize("word", sorted(WITHOUT_EFFECT_TYPES))
def test_a_type_without_effect_is_an_event_that_nothing_wants(word: str) -> None:
    """A fault in such a line is a reject like any other; of no interest, it is only counted."""
    line = {"type": word, "time": TIME, "prospect": "a"}
    assert event(**line).type == word
    piece = Piece(json.dumps(line).encode() + b"\n", 0, 1, is_last=True)
    assert decode(piece, NOW, Rules([]).interest()).without_effect == 1
    assert reason({"type": word, "prospect": "a"}) == f"{word} without 'time'"
    assert reason({"type": word, "time": TIME, "prospect": "a", "id": True}) == "id must be text, not true or false"


def test_of_an_unknown_type_nothing_more_is_asked() -> None:
    """It is counted by its word, whatever its other keys are."""
    batch = read(b'{"type":"opened","time":5}\n{"type":"opened"}\n{"type":"x","deal":[],"url":{}}\n')
    assert batch.unknown_types == {"opened": 2, "x": 1}
    assert (batch.lines, batch.events, batch.rejects) == (3, [], [])


# --- rejects ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        ({}, "event without 'type'"),
        ({"type": 5}, "type must be text, not a number"),
        ({"type": ""}, "type is empty"),
        ({"type": "a\0b"}, "NUL character in type"),
        ({"type": "\ud800"}, "half a surrogate pair in type"),
        (CLICK | {"time": None}, "link_clicked without 'time'"),
        (CLICK | {"time": 1772357400}, "time must be text, not a number"),
        (CLICK | {"time": ""}, "time is empty"),
        (CLICK | {"time": "2026-03-01T09:30:00"}, "time without an offset: '2026-03-01T09:30:00'"),
        (CLICK | {"time": "2026-03-01"}, "a date, not a time: '2026-03-01'"),
        (CLICK | {"time": "2024-W01-1"}, "not an RFC 3339 time: '2024-W01-1'"),
        (CLICK | {"time": "2026-03-01T24:00:00Z"}, "not an RFC 3339 time: '2026-03-01T24:00:00Z'"),
        (CLICK | {"time": "0001-01-01T00:00:00+14:00"}, "no such time: '0001-01-01T00:00:00+14:00'"),
        (CLICK | {"time": "2026-03-03T12:00:01Z"}, "time more than a day in the future: '2026-03-03T12:00:01Z'"),
        (CLICK | {"prospect": None}, "link_clicked without a record: 'prospect', 'organization' or 'deal'"),
        (CLICK | {"prospect": ""}, "prospect is empty"),
        (CLICK | {"prospect": 1.0}, "prospect must be text, not a number"),
        (CLICK | {"prospect": ["a"]}, "prospect must be text, not an array"),
        (CLICK | {"prospect": "a\0"}, "NUL character in prospect"),
        (CLICK | {"deal": "D-9"}, "more than one record: 'prospect' and 'deal'"),
        (CLICK | {"workflow": None}, "link_clicked without 'workflow'"),
        (CLICK | {"workflow": ""}, "workflow is empty"),
        (CLICK | {"message": 5}, "message must be text, not a number"),
        (CLICK | {"suspect": "yes"}, "suspect must be true or false"),
        (CLICK | {"workflow": 5}, "workflow must be text, not a number"),
        (CLICK | {"id": False}, "id must be text, not true or false"),
        (CLICK | {"id": "\ud800"}, "half a surrogate pair in id"),
        (CLICK | {"type": "step_completed"}, "step_completed without 'step'"),
        (CLICK | {"type": "page_visited"}, "page_visited without 'url'"),
        ({"type": "deal_won", "time": TIME, "prospect": "a"}, "deal_won is about a deal, not about a prospect"),
        ({"type": "replied", "time": TIME, "deal": "a"}, "replied is about a prospect, not about a deal"),
        (UPDATE | {"field": None}, "field_updated without 'field'"),
        (UPDATE | {"field": ""}, "field is empty"),
        (UPDATE | {"value": [1]}, "value must be text, a number, true, false or null, not an array"),
        (UPDATE | {"old": {}}, "old must be text, a number, true, false or null, not an object"),
        (UPDATE | {"value": 2**63}, "value is beyond 64 bits: 9223372036854775808"),
        (UPDATE | {"value": float("inf")}, "Infinity is no JSON"),
        (UPDATE | {"value": "a\0b"}, "NUL character in value"),
    ],
)
def test_what_can_not_be_understood_is_a_reject_with_its_reason(keys: dict[str, Any], expected: str) -> None:
    """The reason names the key and is one short sentence."""
    assert reason(keys) == expected


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (b'{"type":"replied"}{"type":"replied"}', "expected one JSON object per line"),
        (b"[1]", "expected one JSON object per line"),
        (b'{"type":"replied","type":"replied"}', "duplicate key 'type'"),
        (b'{"type":"x","a":{"b":1,"b":2}}', "duplicate key 'b'"),
        (b'{"type":"x","a":1e999}', "number out of range: 1e999"),
        (b'{"type":"x","a":' + b"7" * 5000 + b"}", "integer of 5000 digits"),
        (b'{"type":"x","a":' + b"[" * 100_000, "nested more than 100 levels deep"),
        (b'{"type":"\xff"}', "invalid UTF-8 at byte 10 of the line"),
        (b'{"type":"x","other":"\xff"}', "invalid UTF-8 at byte 22 of the line"),
        (b"x" * (MAX_LINE_BYTES + 1), "line longer than 1 MiB"),
        (b" " * (MAX_LINE_BYTES + 1), "line longer than 1 MiB"),
    ],
)
def test_what_is_no_strict_json_is_a_reject(line: bytes, expected: str) -> None:
    """Whatever its type is, known or not."""
    assert reason(line) == expected


def test_a_reject_keeps_the_line_and_where_it_stood() -> None:
    """Up to 64 KiB of it, without its line end."""
    batch = read(b"\nbad\r\n" + b"y" * (KEPT_BYTES + 5) + b"\n", offset=1000, line=50)
    assert [(each.line, each.offset, each.text) for each in batch.rejects] == [
        (51, 1001, b"bad"),
        (52, 1006, b"y" * KEPT_BYTES),
    ]


def test_a_reason_stays_short_however_long_the_text_is() -> None:
    """A megabyte of digits is not echoed."""
    for keys in (CLICK | {"time": "9" * 500_000}, CLICK | {"time": f"2026-12-01T00:00:00.{'9' * 500_000}Z"}):
        assert len(reason(keys)) < 150
    assert len(reason(b'{"%b":1,"%b":1}' % (b"k" * 400_000, b"k" * 400_000))) < 150


def test_a_day_in_the_future_is_still_believed() -> None:
    """Clocks differ, days do not."""
    assert event(**CLICK | {"time": "2026-03-03T12:00:00Z"}).at == NOW + timedelta(days=1)


# --- pieces -----------------------------------------------------------------------------------------------------------


def test_blank_lines_are_no_lines() -> None:
    """They count in numbers and offsets alone."""
    batch = read(b'\n  \r\n\t\n{"type":"x"}\n\r\n')
    assert (batch.lines, batch.unknown_types, batch.rejects) == (1, {"x": 1}, [])
    assert (batch.end_offset, batch.end_line) == (22, 6)


def test_a_byte_order_mark_at_the_start_of_a_log_is_passed_over() -> None:
    """Elsewhere it is no JSON."""
    batch = read(b'\xef\xbb\xbf{"type":"x"}\nbad\n')
    assert batch.unknown_types == {"x": 1}
    assert [(each.line, each.offset) for each in batch.rejects] == [(2, 16)]
    assert len(read(b'\xef\xbb\xbf{"type":"x"}\n', offset=5).rejects) == 1


def test_an_unfinished_last_line_is_read_if_it_is_a_complete_event() -> None:
    """Reading goes on within that line: its newline, coming later, adds none."""
    first = read(json.dumps(CLICK).encode(), offset=10, line=3)
    assert (len(first.events), first.lines, first.incomplete, first.end_line) == (1, 1, 0, 3)
    then = read(b"\n" + json.dumps(CLICK).encode() + b"\n", first.end_offset, first.end_line)
    assert [each.line for each in then.events] == [4]
    assert (then.lines, then.end_line) == (1, 5)


@pytest.mark.parametrize("unfinished", [b'{"type":"rep', b"garbage", b'{"type":"replied"}', b"\xff"])
def test_an_unfinished_last_line_that_is_no_event_is_left(unfinished: bytes) -> None:
    """It is not counted, and lies where reading goes on."""
    batch = read(b'{"type":"x"}\n' + unfinished)
    assert (batch.lines, batch.rejects, batch.incomplete) == (1, [], 1)
    assert (batch.end_offset, batch.end_line) == (13, 2)


def test_an_oversized_line_is_one_reject_and_reading_goes_on_behind_it() -> None:
    """An unfinished one is left."""
    batch = decode(Piece(b"x" * KEPT_BYTES + b"\n", 100, 5, is_last=False, oversized=3_000_000), NOW)
    assert [(each.line, each.offset, len(each.text)) for each in batch.rejects] == [(5, 100, KEPT_BYTES)]
    assert (batch.lines, batch.end_offset, batch.end_line) == (1, 3_000_100, 6)
    batch = decode(Piece(b"x" * KEPT_BYTES, 100, 5, is_last=True, oversized=3_000_000), NOW)
    assert (batch.lines, batch.rejects, batch.incomplete, batch.end_offset, batch.end_line) == (0, [], 1, 100, 5)


# --- laws -------------------------------------------------------------------------------------------------------------

scalars = (
    st.none()
    | st.booleans()
    | st.integers(-(2**65), 2**65)
    | st.floats()
    | st.text(alphabet=st.characters() | st.sampled_from('\0\\"\ud800\udc00é'), max_size=4)
)
names = st.sampled_from(["a", "", 0, 12, None, 1.5, "ana@acme.example", "\0", "\ud83d"])
objects = st.fixed_dictionaries(
    {"type": st.sampled_from([*EVENT_RECORD_TYPES, "other", "", None]), "time": st.just(TIME) | scalars},
    optional={
        "id": names | scalars,
        "prospect": names,
        "organization": names,
        "deal": names,
        "workflow": st.sampled_from(["welcome", "", 'q"\\']) | scalars,
        "step": st.just("intro") | scalars,
        "url": st.just("https://acme.example/") | scalars,
        "field": st.just("status") | scalars,
        "message": st.just("m-1") | scalars,
        "suspect": st.booleans() | scalars,
        "value": scalars | st.just([1]),
        "old": scalars,
        "extra": scalars | st.dictionaries(st.text(max_size=2), scalars, max_size=2),
    },
)
digits = st.text("0123456789", min_size=1, max_size=9)
times = st.builds(
    "{}{}{}{}{}".format,
    st.sampled_from(["2026-03-01", "0001-01-01", "2024-02-29", "2026-02-29", "2026-W09-1", "2999-01-01"]),
    st.sampled_from(["T", "t", " ", "  ", ""]),
    st.sampled_from(["09:30:00", "23:59:59", "23:59:60", "24:00:00", "09:30", "093000"]),
    st.just("") | digits.map(".{}".format) | digits.map(",{}".format),
    st.sampled_from(["Z", "z", "", "+01:00", "-14:00", "+0100", "+23:59", "+24:00", "-00:00", "+01"]),
)
lines = st.builds(
    lambda value, is_ascii, twice: (json.dumps(value, ensure_ascii=is_ascii)[:-1] + twice + "}").encode(
        "utf-8", "surrogatepass"
    ),
    objects,
    st.booleans(),
    st.sampled_from(
        ["", "", "", ',"type":"replied"', ',"\\u0069d":"e"', ',"deal":"D"', ',"x":{"y":1,"y":"2"}', ",", "]"]
    ),
)


def fast_and_plain(line: bytes) -> tuple[Event | Passed | None, Event | Passed | None]:
    """Return what the two ways say of a line, None where one of them does not understand it."""
    latest = NOW + timedelta(days=1)
    [found] = ordinary(line, [line])
    fast = jsonl._understand_ordinary(found, line, 1, latest) if found else None  # noqa: SLF001 - private
    try:
        return fast, jsonl._understand(line, 1, latest)  # noqa: SLF001 - as above
    except LineError:
        return fast, None


@given(lines)
def test_the_fast_way_says_what_the_plain_way_says_or_nothing(line: bytes) -> None:
    """For ordinary lines and for those that are not: wherever it answers, the answers are equal."""
    fast, plain = fast_and_plain(line)
    assert fast is None or fast == plain


@given(times)
def test_the_fast_way_reads_times_as_the_plain_way_does(time: str) -> None:
    """Offsets, fractions, leap seconds and what is no time: wherever it answers, the answers are equal."""
    fast, plain = fast_and_plain(json.dumps({**CLICK, "time": time}).encode())
    assert fast is None or fast == plain


@given(objects)
def test_the_fast_way_takes_every_ordinary_event(keys: dict[str, Any]) -> None:
    """What is sound is not left to the plain way, whatever other keys it has."""
    fast, plain = fast_and_plain(json.dumps(keys).encode())
    if plain is not None and keys["type"] in EVENT_RECORD_TYPES:
        assert fast == plain


@given(st.lists(lines | objects.map(lambda keys: json.dumps(keys).encode()), max_size=8))
def test_many_lines_are_read_as_each_by_itself(some: list[bytes]) -> None:
    """Lines that are judged together are what they are alone: one that is odd does not change the others."""
    batch = read(b"".join(line + b"\n" for line in some))
    alone = Batch(0, 1)
    offset = 0
    for number, line in enumerate(some, start=1):
        alone.take(decode_line(line, line=number, offset=offset, now=NOW))
        offset += len(line) + 1
    assert (batch.events, batch.rejects, batch.unknown_types) == (alone.events, alone.rejects, alone.unknown_types)
    assert (batch.lines, batch.without_effect) == (alone.lines, alone.without_effect)


@given(st.lists(objects.map(lambda keys: json.dumps(keys).encode()), max_size=8))
def test_what_is_of_no_interest_is_only_counted(some: list[bytes]) -> None:
    """Everything else, and the number of lines in each class taken together, is as without that interest."""
    piece = Piece(b"".join(line + b"\n" for line in some), 0, 1, is_last=True)
    everything, interesting = decode(piece, NOW), decode(piece, NOW, NO_REPLIES)
    unwanted = {"replied", "page_visited"}
    kept = [each for each in everything.events if each.type not in unwanted]
    assert interesting.events == kept
    assert interesting.rejects == everything.rejects
    assert interesting.without_effect == everything.without_effect + len(everything.events) - len(kept)


def unique_or_refused(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Refuse duplicate keys, the plain way."""
    if len({key for key, _ in pairs}) < len(pairs):
        raise ValueError
    return dict(pairs)


@given(lines)
def test_a_line_with_a_duplicate_key_is_never_read(line: bytes) -> None:
    """The count of quotes sees each one that `json` with its pairs sees, at any depth and in any spelling."""
    try:
        json.loads(line.decode("utf-8", "surrogatepass"), object_pairs_hook=unique_or_refused)
    except ValueError:
        assert isinstance(outcome(line), Reject)


@given(
    st.lists(st.binary(max_size=20) | lines | st.sampled_from([b"", b" ", b"\n", b"\r\n", b"\xef\xbb\xbf"])).map(
        b"\n".join
    ),
    st.sampled_from([0, 5]),
)
def test_every_line_ends_in_exactly_one_count(data: bytes, offset: int) -> None:
    """Decoding never raises, and what was not decoded is one unfinished line."""
    batch = read(data, offset)
    unknown = sum(batch.unknown_types.values())
    assert batch.lines == len(batch.events) + len(batch.rejects) + batch.without_effect + unknown
    rest = data[batch.end_offset - offset :]
    assert bool(rest) == bool(batch.incomplete)
    assert b"\n" not in rest
    assert batch.end_line == 1 + data.count(b"\n")
    for each in batch.rejects:
        assert data[each.offset - offset :].startswith(each.text)
        assert each.reason.isprintable()


@given(st.lists(lines | st.binary(max_size=20)).map(b"\n".join), st.integers(1, 300))
def test_how_a_log_is_cut_makes_no_difference(write: Callable[..., str], data: bytes, size: int) -> None:
    """Piece by piece the same events and rejects come, with the same numbers and offsets."""
    whole = read(b"#" + data)
    events, rejects, end = [], [], 0
    with open_log(write(b"#" + data)) as log:
        for piece in log.pieces(0, 1, size):
            batch = decode(piece, NOW)
            assert piece.offset == end
            events += batch.events
            rejects += batch.rejects
            end = batch.end_offset
    assert (events, rejects, end) == (whole.events, whole.rejects, whole.end_offset)
