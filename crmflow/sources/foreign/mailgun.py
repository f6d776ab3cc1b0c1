"""Mailgun: webhook bodies (`event-data`), the same events without it (Events API), and mail that a route posts.

What was sent along under `v:` comes back as `user-variables`, `o:tag` as `tags`. The id of an event is unique within a
day only. A click or open by a machine is marked as one (`client-info.bot`).
https://documentation.mailgun.com/docs/mailgun/user-manual/webhooks/webhook-payloads
https://documentation.mailgun.com/docs/mailgun/user-manual/receive-forward-store/receive-http
"""

from collections.abc import Iterator
from email.parser import HeaderParser
from email.utils import getaddresses
from urllib.parse import parse_qsl

from crmflow.core.model import Event
from crmflow.sources.bodies import JsonSource, Told, unknown
from crmflow.sources.letters import Headers, came_in, has_token, headers_in, written_at
from crmflow.sources.mail import address, bounce, message_id, workflow_in
from crmflow.sources.moments import epoch
from crmflow.sources.objects import (
    Body,
    Element,
    LineError,
    object_of,
    read_elements,
    read_utf8,
    required_text,
    text_of,
)
from crmflow.sources.suspicion import is_machine, user_agent
from crmflow.sources.terms import Head, Terms

EVENTS: dict[str, str] = {
    "accepted": "email_sent",
    "delivered": "email_delivered",
    "failed": "soft_bounced",  # unless _FAILED says otherwise
    "rejected": "soft_bounced",  # by Mailgun: nothing was sent
    "opened": "email_opened",
    "clicked": "link_clicked",
    "unsubscribed": "unsubscribed",
    "complained": "spam_reported",
}
"""Their word for an event, and ours."""

NO_EVENTS = frozenset(
    {"stored", "email_validation", "list_member_uploaded", "list_member_upload_error", "list_uploaded"}
)
"""Their words for what is none of our events; a mail that was stored is posted by its route."""

_FAILED: dict[str, str] = {
    "bounce": "hard_bounced",
    "suppress-bounce": "hard_bounced",  # "Not delivering to previously bounced address"
    "suppress-unsubscribe": "unsubscribed",
    "suppress-complaint": "spam_reported",
}
"""Their `reason` of a failure whose `severity` is `permanent`; that alone may also mean that they gave up trying."""

_ROUTED = frozenset({"body-plain", "body-mime", "message-headers", "message-url"})
"""The fields one of which a mail has that a route posts."""


def knows(body: Body) -> bool:
    """Tell whether a body is an event of Mailgun's, or a mail that came in through it."""
    if _is_routed(body) or isinstance(body.get("event-data"), dict):
        return True
    return {"event", "timestamp"} <= body.keys() and ("log-level" in body or isinstance(body.get("message"), dict))


def _is_routed(body: Body) -> bool:
    return {"recipient", "sender"} <= body.keys() and bool(_ROUTED & body.keys())


def tell(body: Body, terms: Terms) -> Iterator[Told]:
    """Yield what an event of Mailgun's tells, or what a mail is that came in."""
    if _is_routed(body):
        yield from _mail(body, terms)
        return
    said = object_of(body, "event-data") or body
    word = required_text(said, "event")
    if word in NO_EVENTS:
        return
    if word not in EVENTS:
        yield unknown(word)
        return
    kind = _failure(said) if word == "failed" else EVENTS[word]
    for each in _recipients(said):
        yield _event(said, kind, each, terms)


def _event(said: Body, kind: str, recipient: str, terms: Terms) -> Event:
    at, id_ = epoch(said.get("timestamp")), text_of(said, "id")
    is_click = kind == "link_clicked"
    return Event(
        type=kind,
        at=at,
        record_type="prospect",
        name=address(recipient),
        id=id_ and f"{at:%Y-%m-%d}/{id_}",
        workflow=workflow_in(terms, said.get("user-variables"), said.get("tags")),
        url=text_of(said, "url") if is_click else None,
        message=message_id(text_of(_headers(said), "message-id")),
        is_suspect=is_click and _is_machine(object_of(said, "client-info")),
    )


def _failure(said: Body) -> str:
    """Return what a failure means; one for good only where nothing in it says that it may pass."""
    status = object_of(said, "delivery-status")
    kind = _FAILED.get(text_of(said, "reason") or "") if text_of(said, "severity") == "permanent" else None
    answers = [text_of(status, key) for key in ("enhanced-code", "code", "message")]
    if kind == "hard_bounced":
        return bounce(*answers, is_hard=text_of(status, "bounce-type") != "soft")
    return kind or "soft_bounced"


def _recipients(said: Body) -> list[str]:
    """Return whom an event is about: of a mail that was rejected, which names none, everybody whom it was for."""
    if text_of(said, "event") == "rejected" and text_of(said, "recipient") is None:
        return [each for _, each in getaddresses([required_text(_headers(said), "to")])]
    return [required_text(said, "recipient")]


def _headers(said: Body) -> Body:
    return object_of(object_of(said, "message"), "headers")


def _is_machine(client: Body) -> bool:
    return text_of(client, "bot") is not None or is_machine(user_agent(client, "user-agent"))


def _mail(body: Body, terms: Terms) -> Iterator[Event]:
    """Yield what a mail is that came in; it is one and the same however often and by how many routes it is posted."""
    headers = _headers_of_mail(body)
    return came_in(
        headers,
        text_of(body, "from") or required_text(body, "sender"),
        written_at(headers, terms.zone) if "date" in headers else epoch(body.get("timestamp")),
        message_id(headers.get("message-id")),
        is_answer=has_token(text_of(body, "recipient")),
    )


def _headers_of_mail(body: Body) -> Headers:
    """Return the headers of a mail that came in: as a list, that list as JSON, or those of the mail as it is."""
    raw, listed = text_of(body, "body-mime"), body.get("message-headers")
    if isinstance(listed, str):
        listed = [each.value for each in _elements(listed)]
    parsed = [[name, str(value)] for name, value in HeaderParser().parsestr(raw).items()] if raw else []
    subject = text_of(body, "subject")
    return ({"subject": subject} if subject else {}) | headers_in(listed or parsed)


def _elements(text: str) -> list[Element]:
    return read_elements(read_utf8(text.encode("utf-8", "surrogatepass")))


def _read(text: str) -> list[Element]:
    """Return the values of a line: JSON or, as routes post them, the fields of a form, the first of each name."""
    if text.lstrip().startswith(("{", "[")) or "=" not in text:
        return read_elements(text)
    try:
        fields = parse_qsl(text.strip(), keep_blank_values=True, errors="strict")
    except ValueError as error:
        raise LineError("neither JSON nor the fields of a form") from error
    return [Element(0, len(text), dict(reversed(fields)))]


class _Mailgun(JsonSource):
    """The format: also lines that are forms."""

    def recognises(self, head: Head) -> bool:
        """Tell whether a log begins like one of Mailgun's: with a body, or with a form that a route posted."""
        return super().recognises(head) or (head.value is None and _is_form(head.data.partition(b"\n")[0]))


def _is_form(line: bytes) -> bool:
    """Tell whether a line, which may be cut off, is a form with the fields of a mail that came in."""
    return _is_routed(dict(parse_qsl(line.rpartition(b"&")[0].decode("utf-8", "replace"))))


SOURCE = _Mailgun(knows, tell, noise=("signature", "token"), read=_read)
