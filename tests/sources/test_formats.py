"""What holds for every format, by being in the table of formats and having payloads."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import msgspec
import pytest

from crmflow.core.model import Event, Reject
from crmflow.sources import formats
from crmflow.sources.bodies import JsonSource
from crmflow.sources.terms import OURS
from tests.sources.samples import NOW, Json, Sample, read, samples, terms_of, told

SAMPLES = list(samples())
JSON_SAMPLES = [each for each in SAMPLES if isinstance(formats.source(each.format), JsonSource) and each.is_json]
ODDITIES: tuple[Any, ...] = (
    *(None, True, 0, -1, 1e300, 10**40, "", "a\0b", "\ud800", "x"),
    *([], [None], ["x"], [{}], {}, {"x": 1}),
)

of_every_sample = pytest.mark.parametrize("sample", SAMPLES, ids=str)
of_samples_with_ends = pytest.mark.parametrize(
    "sample", [each for each in SAMPLES if each.format not in {"eml", "mbox"}], ids=str
)  # half a mail is a mail
of_json_samples = pytest.mark.parametrize("sample", JSON_SAMPLES, ids=str)


def _values(sample: Sample) -> list[Any]:
    """Return the bodies that a payload holds, as its array has them or as the one that it is."""
    value = json.loads(sample.data)
    return value if isinstance(value, list) else [value]


def _sorted(document: Json) -> Json:
    """Return what came of a payload without the order and the places of it."""
    return document | {
        "events": sorted(document["events"], key=json.dumps),
        "rejected": sorted(each.partition(": ")[2] for each in document["rejected"]),
    }


def _sns(value: object) -> Json:
    return {
        "Type": "Notification",
        "MessageId": "22b80b92-fdea-4c2c-8f9d-bdfb0c7bf324",
        "TopicArn": "arn:aws:sns:eu-west-1:123456789012:mail",
        "Message": json.dumps(value),
        "Timestamp": "2026-03-03T10:00:00.000Z",
        "SignatureVersion": "1",
        "Signature": "c2lnbmVk",
    }


def _sqs(value: object) -> Json:
    return {"messageId": "059f36b4", "receiptHandle": "AQEB", "body": json.dumps(value), "eventSource": "aws:sqs"}


def _eventbridge(value: object) -> Json:
    return {"version": "0", "id": "6a7e8feb", "detail-type": "x", "source": "aws.ses", "account": "1", "detail": value}


ENVELOPES: dict[str, Callable[[object], Json]] = {
    "sns": _sns,
    "sqs": lambda value: {"Records": [_sqs(value)]},
    "sqs of sns": lambda value: {"Records": [_sqs(_sns(value))]},
    "lambda of sns": lambda value: {"Records": [{"EventSource": "aws:sns", "Sns": _sns(value)}]},
    "eventbridge": _eventbridge,
    "page": lambda value: {"items": [value], "paging": {"next": "https://api.example/2"}},
    "batch": lambda value: {"batch": [value]},
}


def test_every_format_is_there_with_payloads() -> None:
    """A format has a name for the command line, a title, a source, payloads, and one with words that we don't know."""
    for name, each in formats.FORMATS.items():
        assert name == each.name
        assert name.isidentifier()
        assert each.title
        assert hasattr(each.load(), "decode")
    assert {each.format for each in SAMPLES} == set(formats.FORMATS)
    knowing_words = {each.format for each in SAMPLES if each.expected["unknown_types"]}
    wordless = {"accesslog"}
    assert {
        name for name in formats.FORMATS if isinstance(formats.source(name), JsonSource)
    } - wordless <= knowing_words


@of_every_sample
def test_a_payload_tells_what_is_expected(sample: Sample) -> None:
    """Its format is recognised, every event has the id, time, record and workflow that it should."""
    terms = terms_of(sample.data, sample.options)
    assert terms.format == sample.format
    expected = {key: value for key, value in sample.expected.items() if key != "options"}
    assert told(read(sample.data, terms)) == expected


@of_every_sample
def test_a_named_format_is_not_looked_for(sample: Sample) -> None:
    """`--format` decides, and comes to the same."""
    options = msgspec.structs.replace(sample.options, format=sample.format)
    assert terms_of(sample.data, options) == terms_of(sample.data, sample.options)


@of_json_samples
def test_a_payload_tells_the_same_in_every_layout(sample: Sample) -> None:
    """One line, a line for each body, pretty-printed, one body behind the other, or after a mark."""
    values = _values(sample)
    expected = _sorted({key: value for key, value in sample.expected.items() if key != "options"})
    lines = b"".join(json.dumps(each).encode() + b"\n" for each in values)
    layouts = {
        "one line": json.dumps(values).encode(),
        "finished line": json.dumps(values).encode() + b"\r\n\r\n",
        "lines": lines,
        "mark": b"\xef\xbb\xbf" + lines,
        "pretty": json.dumps(values, indent=2).encode(),
        "one behind the other": b"\n".join(json.dumps(each, indent=1).encode() for each in values),
        "line by line": b"[" + b",\n".join(json.dumps(each).encode() for each in values) + b"]\n",
    }
    for name, data in layouts.items():
        terms = terms_of(data, msgspec.structs.replace(sample.options, format=sample.format))
        assert _sorted(told(read(data, terms))) == expected, name


@of_json_samples
@pytest.mark.parametrize("envelope", ENVELOPES)
def test_a_body_tells_the_same_in_every_envelope(sample: Sample, envelope: str) -> None:
    """It is recognised in it, and the same event: same id, same everything."""
    for value in _values(sample):
        if not isinstance(value, dict):
            continue
        bare, wrapped = json.dumps(value).encode(), json.dumps(ENVELOPES[envelope](value)).encode()
        terms = terms_of(bare, msgspec.structs.replace(sample.options, format=sample.format))
        assert _sorted(told(read(wrapped, terms))) == _sorted(told(read(bare, terms)))
        if told(read(bare, terms))["events"] and terms_of(bare).format == sample.format:
            assert terms_of(wrapped).format == sample.format


@of_samples_with_ends
def test_a_payload_that_is_cut_off_is_left_or_rejected(sample: Sample) -> None:
    """Wherever it is cut, nothing is raised; what is read of it then is among what it tells whole."""
    data = sample.data
    terms = terms_of(data, sample.options)
    whole = {json.dumps(each) for each in sample.expected["events"]}
    step = max(1, len(data) // 300)
    for end in range(0, len(data), step):
        for cut in (data[:end], data[:end] + b"\n"):
            batch = read(cut, terms)
            assert {json.dumps(as_told) for as_told in told(batch)["events"]} <= whole
            assert cut[batch.end_offset :].strip() == b"" or batch.incomplete


@of_every_sample
def test_a_reject_is_read_again_as_it_was_read(sample: Sample) -> None:
    """What was not understood still is not, for the same reason."""
    terms = terms_of(sample.data, sample.options)
    for each in read(sample.data, terms).rejects:
        again = formats.source(terms.format).decode_again(each, terms, NOW)
        assert [one.reason for one in again if isinstance(one, Reject)] == [each.reason]


@of_json_samples
def test_a_body_with_odd_values_is_an_event_or_a_reject(sample: Sample) -> None:
    """Whatever stands under each key of it: nothing is raised, and events can be stored."""
    terms = terms_of(sample.data, sample.options)
    for value in _values(sample):
        for changed in _changed(value):
            batch = read(json.dumps(changed).encode() + b"\n", terms)
            for event in batch.events:
                _check_storable(event)


@of_json_samples
def test_what_is_left_out_is_an_event_or_a_reject(sample: Sample) -> None:
    """Each key of a body may be absent."""
    terms = terms_of(sample.data, sample.options)
    for value in _values(sample):
        for key in value if isinstance(value, dict) else ():
            read(json.dumps({name: each for name, each in value.items() if name != key}).encode(), terms)


def _changed(value: Any) -> Iterator[Any]:  # noqa: ANN401 - any JSON
    """Yield a value with each value in it replaced by each oddity."""
    yield from ODDITIES
    keys = list(value) if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ()
    for key in keys:
        for changed in _changed(value[key]):
            copy = value.copy()
            copy[key] = changed
            yield copy


def _check_storable(event: Event) -> None:
    for text in (event.name, event.id, event.workflow, event.url, event.message, event.field):
        assert text is None or "\0" not in text
        assert text is None or text.encode()
    assert event.name
    assert event.id
    assert event.id.startswith(tuple(formats.FORMATS))
    assert event.at.utcoffset() is not None


def test_what_nothing_recognises_is_ours() -> None:
    """Words, numbers, objects of nobody's: their lines are rejects of our own format."""
    for data in (b"", b"hello\n", b"12\n", b'{"a": 1}\n', b'[1, 2]\n{"type": "x"}\n', b'{"type": "rep', b"\xff\xfe"):
        assert terms_of(data).format == OURS


@pytest.mark.parametrize(
    ("data", "layout"),
    [
        (b'{"type": "replied"}\n', "lines"),
        (b'{"type": "replied"}{"type": "replied"}\n{"type": "replied"}\n', "lines"),
        (b'{"type": "replied",\n{"type": "replied"}\n', "lines"),
        (b'[{"type": "replied"}]\n[{"type": "replied"}]\n', "lines"),
        (b'[{"type": "replied"}]\n', "whole"),
        (b'\xef\xbb\xbf \n[\n{"type": "replied"}]', "whole"),
        (b'[{"type": "replied"},\n{"type": "replied"}]', "whole"),
        (b'{"type":\n"replied"}', "whole"),
        (b'{\n"body": "' + b"x" * 100_000, "whole"),
        (b"", "lines"),
    ],
)
def test_the_layout_is_seen_at_the_beginning(data: bytes, layout: str) -> None:
    """Lines, if the first one is JSON by itself or will never be; else the file as a whole."""
    assert terms_of(data).layout == layout


def test_a_header_travels_with_the_terms() -> None:
    """It is the lines with `#` that a log opens with."""
    assert terms_of(b"#Version: 1.0\r\n#Fields: date time\n2026\t#x\n").header == "#Version: 1.0\n#Fields: date time"
    assert terms_of(b"x\n#y\n").header == ""


def test_a_broken_body_behind_good_ones_is_left_until_it_is_finished() -> None:
    """Reading goes on where it begins; what can't become JSON any more is a reject with all behind it."""
    good = b'{\n"type": "replied", "time": "2026-03-03T10:00:00Z", "prospect": "a"}\n'
    terms = terms_of(good)
    unfinished = read(good + b'{"type":', terms)
    assert (len(unfinished.events), unfinished.incomplete, unfinished.end_offset) == (1, 1, len(good))
    broken = read(good + b'{"type":}\n\n', terms)
    assert [(each.line, each.offset) for each in broken.rejects] == [(3, len(good))]
    assert (broken.incomplete, broken.end_offset, broken.end_line) == (0, len(good) + 11, 5)
    assert [each.reason for each in read(b'{\n"a": "\xff"}', terms).rejects] == ["invalid UTF-8 at byte 9 of the line"]
