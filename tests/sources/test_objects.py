"""One line of JSON, understood strictly."""

import json
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crmflow.sources.objects import LineError, read_name, read_object, read_scalar, read_text


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b'{"a":1}{"b":2}', "expected one JSON object per line"),
        (b'{"a":1} x', "expected one JSON object per line"),
        (b"[1]", "expected one JSON object per line"),
        (b'"text"', "expected one JSON object per line"),
        (b"12", "expected one JSON object per line"),
        (b"null", "expected one JSON object per line"),
        (b"hello", "not JSON: Expecting value at character 1"),
        (b"}{", "not JSON: Expecting value at character 1"),
        (b'{"a":1', "not JSON: Expecting ',' delimiter at character 7"),
        (b'{"a":NaN}', "NaN is no JSON"),
        (b'{"a":-Infinity}', "-Infinity is no JSON"),
        (b'{"a":1e999}', "number out of range: 1e999"),
        (b'{"a":' + b"1" * 5000 + b"}", "integer of 5000 digits"),
        (b'{"a":1,"b":2,"a":3}', "duplicate key 'a'"),
        (b'{"a":1,"\\u0061":3}', "duplicate key 'a'"),
        (b'{"a":{"b":1,"b":1}}', "duplicate key 'b'"),
        (b'{"a":"\xff\xfe"}', "invalid UTF-8 at byte 7 of the line"),
        (b'{"a":"\xed\xa0\x80"}', "invalid UTF-8 at byte 7 of the line"),
        (b'{"a":"\x01"}', "not JSON: Invalid control character at character 7"),
    ],
)
def test_a_line_that_is_no_strict_json_object_is_refused_with_its_reason(line: bytes, reason: str) -> None:
    """The reason is a short sentence that never echoes bytes that can't be shown."""
    with pytest.raises(LineError) as caught:
        read_object(line)
    assert str(caught.value) == reason


@pytest.mark.parametrize("opening", [b"[", b'{"a":'])
def test_deep_nesting_is_refused_at_once(opening: bytes) -> None:
    """A hundred thousand levels cost no more than a moment and no stack."""
    began = time.process_time()
    with pytest.raises(LineError, match="nested more than 100 levels deep"):
        read_object(b'{"a":' + opening * 100_000)
    assert time.process_time() - began < 0.5


@pytest.mark.parametrize(("opening", "closing"), [(b"[", b"]"), (b'{"a":', b"}")])
def test_a_hundred_levels_are_read(opening: bytes, closing: bytes) -> None:
    """The limit is a number, the same however deep the stack is, and brackets inside of text do not count."""
    text = b'{"b":"' + b"[{" * 200 + rb"\"{" + b'","a":'
    assert read_object(text + opening * 98 + b"[1]" + closing * 98 + b"}")
    with pytest.raises(LineError, match="nested more than 100 levels deep"):
        read_object(text + opening * 99 + b"[1]" + closing * 99 + b"}")


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**30), 10**30)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.text(max_size=5), json_values, max_size=4))
def test_every_proper_object_is_read_as_json_reads_it(value: dict[str, Any]) -> None:
    """Strictness refuses nothing that is sound, escaped or not."""
    assert read_object(json.dumps(value).encode()) == value
    assert read_object(json.dumps(value, ensure_ascii=False).encode()) == value


@given(st.binary(max_size=60))
def test_arbitrary_bytes_are_an_object_or_a_located_refusal(line: bytes) -> None:
    """No other exception leaves the reader."""
    try:
        reason = "" if isinstance(read_object(line), dict) else "\0"
    except LineError as fault:
        reason = str(fault)
    assert reason.isprintable()


def test_a_scalar_is_kept_as_it_is() -> None:
    """Text, numbers within 64 bits, true, false and null pass unchanged."""
    for value in ("x", "", 2**63 - 1, -(2**63), 1.5, True, False, None):
        assert read_scalar("value", value) is value


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ([1], "value must be text, a number, true, false or null, not an array"),
        ({}, "value must be text, a number, true, false or null, not an object"),
        (2**63, "value is beyond 64 bits: 9223372036854775808"),
        (-(2**63) - 1, "value is beyond 64 bits: -9223372036854775809"),
        ("a\0b", "NUL character in value"),
        ("\ud800", "half a surrogate pair in value"),
    ],
)
def test_a_value_that_no_field_can_hold_is_refused(value: object, reason: str) -> None:
    """What SQLite would change or refuse does not get that far."""
    with pytest.raises(LineError) as caught:
        read_scalar("value", value)
    assert str(caught.value) == reason


def test_a_name_may_be_an_integer_and_becomes_its_digits() -> None:
    """Other numbers, true and false are no names."""
    assert read_name("deal", 10**25) == "1" + "0" * 25
    assert read_name("deal", -7) == "-7"
    for value in (True, 1.0, [1], None):
        with pytest.raises(LineError, match="deal must be text, not"):
            read_name("deal", value)
    with pytest.raises(LineError, match="url must be text, not a number"):
        read_text("url", 5)
