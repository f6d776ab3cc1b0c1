"""Mailgun: one event in its several shapes, and mail that a route posts as a form."""

import json
from urllib.parse import urlencode

from tests.sources.samples import Json, read, terms_of, told

EVENT: Json = {
    "event": "complained",
    "id": "mN7oPq8RS9t",
    "timestamp": 1772618400.25,
    "log-level": "warn",
    "recipient": "ana@acme.example",
}
MAIL = {
    "recipient": "team@northwind.example",
    "sender": "ana@acme.example",
    "message-headers": '[["Date", "Wed, 04 Mar 2026 10:00:00 +0000"], ["Message-Id", "<m-1@acme.example>"]]',
    "body-plain": "50% of {this} & that = \u20ac 1",
    "token": "0f3c",
}


def _told(data: bytes) -> Json:
    terms = terms_of(data)
    assert terms.format == "mailgun"
    return told(read(data, terms))


def test_an_event_is_the_same_however_it_came() -> None:
    """As posted, as the Events API lists it, and posted again with another signature."""
    bodies = [
        EVENT,
        {"items": [EVENT], "paging": {"next": "https://api.mailgun.example/v3/events/2"}},
        *({"signature": {"token": token}, "event-data": EVENT} for token in ("a", "b")),
    ]
    assert len({json.dumps(_told(json.dumps(each).encode())["events"]) for each in bodies}) == 1


def test_a_mail_is_the_same_as_a_form_and_as_json() -> None:
    """Of a field that is there more than once the first counts."""
    form = urlencode([*MAIL.items(), ("sender", "x"), ("recipient", "")]).encode()
    [event] = _told(form + b"\n")["events"]
    assert event == {
        "id": "mailgun:m-1@acme.example",
        "type": "conversation_started",
        "time": "2026-03-04T10:00:00Z",
        "prospect": "ana@acme.example",
    }
    assert [event] == _told(json.dumps(MAIL).encode())["events"] == _told(form)["events"]


def test_lines_that_are_no_form_are_rejected() -> None:
    """With the reason; the others are read."""
    lines = [urlencode(MAIL).encode(), b"hello", b"a=b", b"sender=%ff&recipient=x", b"{", b""]
    assert _told(b"\n".join(lines))["rejected"] == [
        "line 2: not JSON: Expecting value at character 1",
        "line 3: without 'event'",
        "line 4: neither JSON nor the fields of a form",
        "line 5: not JSON: Expecting property name enclosed in double quotes at character 2",
    ]


def test_a_form_is_known_by_its_beginning() -> None:
    """However long it is; other lines with signs of equality are none."""
    fields = [*MAIL.items(), ("body-html", "\u20ac" * 50_000)]
    assert terms_of(urlencode(fields).encode()).format == "mailgun"
    for line in (b"GET /?recipient=a&sender=b HTTP/1.1", b"recipient=a&sender=b", b"a=b&c=d", b"&=&", b"\xff=\xff&"):
        assert terms_of(line).format == "crmflow"
