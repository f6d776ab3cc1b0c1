"""JSON, understood strictly: what Python's `json` lets pass and a store can't keep is refused.

Refused are NaN and Infinity, numbers that become infinite, integers of thousands of digits, duplicate keys at any
depth, nesting beyond a hundred levels, invalid UTF-8, and two objects on a line.
"""

import json
import math
import re
from collections import Counter
from typing import Any, NamedTuple

import msgspec

from crmflow.core.model import Scalar

SMALLEST_INTEGER = -(2**63)
LARGEST_INTEGER = 2**63 - 1
DEEPEST = 100
"""How many levels of brackets a line may have: a fixed number, because the stack is not always equally deep."""
_MOST_DIGITS = 4300
_STRING = re.compile(rb'"(?:[^"\\]|\\.)*"?', re.DOTALL)
_BRACKET = re.compile(rb"[\[\]{}]")
_SHOWN_CHARACTERS = 80
_SPACE = re.compile(r"[ \t\r\n]*")

Body = dict[str, Any]
"""A JSON object, as a program of somebody else posted it."""


class LineError(Exception):
    """A line can't be understood; its text is a short sentence for a person that says why."""


class Element(NamedTuple):
    """A JSON value and the place of its text, in characters."""

    start: int
    end: int
    value: object


def read_object(line: bytes) -> Body:
    """Return the JSON object that a line holds; raises `LineError` for anything else."""
    text = read_utf8(line)
    try:
        found = _decoder.decode(text)
    except json.JSONDecodeError as error:
        raise LineError(_why_no_json(error)) from error
    if not isinstance(found, dict):
        raise LineError("expected one JSON object per line")
    return found


def quickly_read(data: bytes) -> Body | None:
    """Return the JSON object that a line begins with and is, nothing else; None where the strict way has to look at it.

    It is what `read_object` would return. A duplicate key is found by counting quotes: what was decoded, written out
    again, has as many as the line.
    """
    if not data.startswith(b"{") or may_be_deep(data):
        return None
    try:
        found = _decode(data)
        again = _encode(found)
    except (ValueError, RecursionError, OverflowError):
        return None
    return found if isinstance(found, dict) and quote_count(data) == quote_count(again) else None


def quote_count(data: bytes) -> int:
    """Return how many quotes JSON has that begin or end a text: two for each key and each text."""
    if b"\\" in data:
        data = data.replace(b"\\\\", b"").replace(b'\\"', b"")
    return data.count(b'"')


def read_utf8(data: bytes) -> str:
    """Return the text of a line or file that is not nested too deeply to be JSON of ours; raises `LineError`."""
    if may_be_deep(data) and _is_deep(data):
        raise LineError(f"nested more than {DEEPEST} levels deep")
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise LineError(f"invalid UTF-8 at byte {error.start + 1} of the line") from error


def read_elements(text: str) -> list[Element]:
    """Return the elements of the array that a text is, or the one value that it is; raises `LineError`."""
    found, end = elements_at(text, after_space(text, 0))
    if after_space(text, end) < len(text):
        raise LineError("expected one JSON value")
    return found


def elements_at(text: str, start: int) -> tuple[list[Element], int]:
    """Return the elements of the array that begins at `start`, or the one value that does, and where that ends.

    Raises `LineError` where there is no value.
    """
    if not text.startswith("[", start):
        only = _value_at(text, start)
        return [only], only.end
    found: list[Element] = []
    at = after_space(text, start + 1)
    if text.startswith("]", at):
        return found, at + 1
    while True:
        found.append(_value_at(text, at))
        at = after_space(text, found[-1].end)
        if text.startswith("]", at):
            return found, at + 1
        if not text.startswith(",", at):
            raise LineError(f"not JSON: Expecting ',' delimiter at character {at + 1}")
        at = after_space(text, at + 1)


def after_space(text: str, start: int) -> int:
    """Return where the first character from `start` on lies that is no white space to JSON."""
    found = _SPACE.match(text, start)
    return found.end() if found else start


def is_unclosed(data: bytes) -> bool:
    """Tell whether more brackets are opened than closed: what follows may make JSON of it."""
    brackets = _STRING.sub(b"", data)
    opened = brackets.count(b"[") + brackets.count(b"{")
    return opened > brackets.count(b"]") + brackets.count(b"}")


def _value_at(text: str, start: int) -> Element:
    try:
        value, end = _decoder.raw_decode(text, start)
    except json.JSONDecodeError as error:
        raise LineError(_why_no_json(error)) from error
    return Element(start, end, value)


def may_be_deep(line: bytes) -> bool:
    """Tell, at a glance, whether a line has more brackets than it may have levels."""
    return line.count(b"[") + line.count(b"{") > DEEPEST


def _is_deep(line: bytes) -> bool:
    depth = 0
    for bracket in _BRACKET.finditer(_STRING.sub(b"", line)):
        depth += 1 if bracket[0] in b"[{" else -1
        if depth > DEEPEST:
            return True
    return False


def read_scalar(name: str, value: object) -> Scalar:
    """Return a key's value as a field can hold it; raises `LineError` for what is nested, too large or no text."""
    if isinstance(value, str):
        return read_text(name, value)
    if value is None or isinstance(value, bool | float):
        return value
    if not isinstance(value, int):
        raise LineError(f"{name} must be text, a number, true, false or null, not {_kind(value)}")
    if not SMALLEST_INTEGER <= value <= LARGEST_INTEGER:
        raise LineError(f"{name} is beyond 64 bits: {shortened(str(value))}")
    return value


def read_text(name: str, value: object) -> str:
    """Return a key's text; raises `LineError` where it is none, or holds what can't be stored as text."""
    if not isinstance(value, str):
        raise LineError(f"{name} must be text, not {_kind(value)}")
    if value.isascii() and "\0" not in value:
        return value
    if "\0" in value:
        raise LineError(f"NUL character in {name}")
    if not is_encodable(value):
        raise LineError(f"half a surrogate pair in {name}")
    return value


def read_name(name: str, value: object) -> str:
    """Return a key's text, of an integer its digits; raises `LineError` as `read_text` does."""
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    return read_text(name, value)


def text_of(body: Body, key: str) -> str | None:
    """Return the text under a key, None where there is none or an empty one; raises `LineError` as `read_name` does."""
    value = body.get(key)
    if type(value) is str and value.isascii() and "\0" not in value:
        return value or None
    return None if value is None else read_name(key, value) or None


def word_of(body: Body, key: str) -> str | None:
    """Return the text under a key, None for anything else: for a look at what a body may be."""
    value = body.get(key)
    return value if isinstance(value, str) else None


def required_text(body: Body, key: str) -> str:
    """Return the text under a key; raises `LineError` where there is none."""
    found = text_of(body, key)
    if found is None:
        raise LineError(f"without {key!r}")
    return found


def object_of(body: Body, key: str) -> Body:
    """Return the object under a key, an empty one where there is none; raises `LineError` for anything else."""
    value = body.get(key)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise LineError(f"{key} must be an object, not {_kind(value)}")
    return value


def objects_of(body: Body, key: str) -> list[Body]:
    """Return the objects in the array under a key, none where there is no array; raises `LineError` as above."""
    return [object_of({key: each}, key) for each in _array_of(body, key)]


def texts_of(body: Body, key: str) -> list[str]:
    """Return the texts in the array under a key, none where there is no array; raises `LineError` as above."""
    return [read_text(key, each) for each in _array_of(body, key)]


def _array_of(body: Body, key: str) -> list[Any]:
    value = body.get(key)
    if value is None:
        return []
    if not isinstance(value, list):
        raise LineError(f"{key} must be an array, not {_kind(value)}")
    return value


def is_encodable(text: str) -> bool:
    """Tell whether a text has no lone surrogates, so that it can be written as UTF-8."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def shortened(text: str) -> str:
    """Return a text at a length that fits into a reason."""
    return text if len(text) <= _SHOWN_CHARACTERS else f"{text[:_SHOWN_CHARACTERS]}…"


def _kind(value: object) -> str:
    return _KINDS.get(type(value), "null")


_KINDS = {bool: "true or false", int: "a number", float: "a number", list: "an array", dict: "an object", str: "text"}


def _why_no_json(error: json.JSONDecodeError) -> str:
    if error.msg == "Extra data":
        return "expected one JSON object per line"
    return f"not JSON: {error.msg.removesuffix(' at')} at character {error.pos + 1}"


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        counts = Counter(key for key, _ in pairs)
        raise LineError(f"duplicate key {shortened(repr(counts.most_common(1)[0][0]))}")
    return found


def _integer(digits: str) -> int:
    if len(digits) > _MOST_DIGITS:
        raise LineError(f"integer of {len(digits)} digits")
    return int(digits)


def _finite(text: str) -> float:
    number = float(text)
    if math.isinf(number):
        raise LineError(f"number out of range: {shortened(text)}")
    return number


def _refuse_constant(word: str) -> float:
    raise LineError(f"{word} is no JSON")


_decode = msgspec.json.Decoder().decode
_encode = msgspec.json.Encoder().encode

_decoder = json.JSONDecoder(
    object_pairs_hook=_without_duplicates, parse_int=_integer, parse_float=_finite, parse_constant=_refuse_constant
)
