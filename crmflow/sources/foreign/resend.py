"""Resend: webhook bodies.

What was sent along as `tags` comes back, as an object or as an array, and so do headers. Whom of several recipients an
event is about is not said, nor is there an id of it; `created_at` is when it happened, `data.created_at` when the mail
was made. Of a mail that comes in no headers are told.
https://resend.com/docs/webhooks/event-types
"""

from collections.abc import Iterator
from datetime import datetime

from crmflow.core.model import Event
from crmflow.core.triggers import TELLING_WORKFLOW, WITHOUT_EFFECT_TYPES
from crmflow.sources.batches import NOTHING
from crmflow.sources.bodies import JsonSource, Told, ambiguous, unknown
from crmflow.sources.letters import came_in, has_token, headers_in
from crmflow.sources.mail import address, bounce, message_id, workflow_in
from crmflow.sources.moments import iso
from crmflow.sources.objects import Body, LineError, object_of, required_text, text_of, texts_of
from crmflow.sources.suspicion import is_machine, user_agent
from crmflow.sources.terms import Terms

EVENTS: dict[str, str] = {
    "email.sent": "email_sent",
    "email.delivered": "email_delivered",
    "email.delivery_delayed": "soft_bounced",
    "email.bounced": "soft_bounced",  # unless it is for good
    "email.suppressed": "soft_bounced",  # unless _SUPPRESSED says otherwise: nothing was sent
    "email.failed": "soft_bounced",  # at Resend: nothing was sent
    "email.opened": "email_opened",
    "email.clicked": "link_clicked",
    "email.complained": "spam_reported",
}
"""Their word for what happened to a mail, and ours."""

NO_EVENTS = frozenset(
    {
        "email.scheduled",
        "contact.created",
        "contact.deleted",
        "domain.created",
        "domain.updated",
        "domain.deleted",
        "suppression.removed",
    }
)
"""Their words for what is none of our events."""

_OF_ADDRESSES = frozenset({"contact.updated", "suppression.added"})
"""Their words for what became of an address, whatever mail it was."""

_SUPPRESSED: dict[str, str] = {"previous_bounce": "hard_bounced", "previous_complaint": "spam_reported"}
"""Their `reason` why a mail was not sent."""

_LISTED: dict[str, str] = {"bounce": "hard_bounced", "complaint": "spam_reported"}
"""Their `origin` of an address that gets no more mail; one may also be put there by hand."""

_UNCLEAR = "onaccountsuppressionlist"
"""What kind of a permanent bounce may be an old complaint."""

_KINDS = ("email.", "contact.", "suppression.", "domain.")


def knows(body: Body) -> bool:
    """Tell whether a body is one of Resend's."""
    word = body.get("type")
    is_theirs = isinstance(word, str) and word.startswith(_KINDS)
    return is_theirs and "created_at" in body and isinstance(body.get("data"), dict)


def tell(body: Body, terms: Terms) -> Iterator[Told]:
    """Yield what a body of Resend's tells."""
    word, data = required_text(body, "type"), object_of(body, "data")
    if word in EVENTS:
        yield from _of_mail(word, data, iso(_time(word, body, data), terms.zone), terms)
    elif word == "email.received":
        yield from _received(data, iso(body.get("created_at"), terms.zone))
    elif word in _OF_ADDRESSES:
        yield from _of_address(word, data, iso(body.get("created_at"), terms.zone))
    elif word not in NO_EVENTS:
        yield unknown(word)


def _time(word: str, body: Body, data: Body) -> object:
    """Return when something happened: a click has a time of its own."""
    clicked_at = object_of(data, "click").get("timestamp") if word == "email.clicked" else None
    return clicked_at or body.get("created_at")


def _of_mail(word: str, data: Body, at: datetime, terms: Terms) -> Iterator[Told]:
    kind = _kind(word, data)
    recipients = _recipients(data)
    if len(recipients) > 1 and kind not in TELLING_WORKFLOW:
        yield NOTHING if kind in WITHOUT_EFFECT_TYPES else ambiguous(kind)
        return
    click = object_of(data, "click") if kind == "link_clicked" else {}
    for each in recipients:
        yield Event(
            type=kind,
            at=at,
            record_type="prospect",
            name=each,
            workflow=workflow_in(terms, data.get("tags"), _marks(data, terms.workflow_key)),
            url=text_of(click, "link"),
            message=text_of(data, "email_id"),
            is_suspect=is_machine(user_agent(click, "userAgent")),
        )


def _recipients(data: Body) -> list[str]:
    """Return everybody whom a mail went to, once."""
    everybody = [address(each) for key in ("to", "cc", "bcc") for each in texts_of(data, key)]
    if not everybody:
        raise LineError("without 'to'")
    return list({each.casefold(): each for each in everybody}.values())


def _kind(word: str, data: Body) -> str:
    if word == "email.suppressed":
        return _SUPPRESSED.get(text_of(object_of(data, "suppressed"), "reason") or "", EVENTS[word])
    return _bounce(object_of(data, "bounce")) if word == "email.bounced" else EVENTS[word]


def _bounce(said: Body) -> str:
    is_permanent = (text_of(said, "type") or "").casefold() == "permanent"
    is_hard = is_permanent and (text_of(said, "subType") or "").casefold() != _UNCLEAR
    return bounce(text_of(said, "message"), *texts_of(said, "diagnosticCode"), is_hard=is_hard)


def _of_address(word: str, data: Body, at: datetime) -> Iterator[Event]:
    is_out = word == "contact.updated" and data.get("unsubscribed") is True
    kind = "unsubscribed" if is_out else _LISTED.get(text_of(data, "origin") or "")
    if kind is not None:
        yield Event(type=kind, at=at, record_type="prospect", name=address(required_text(data, "email")))


def _marks(data: Body, key: str) -> dict[str, str | None]:
    """Return the header of a mail that names a workflow, with `X-` before it or not."""
    headers, name = headers_in(data.get("headers")), key.casefold()
    return {key: headers.get(name, headers.get(f"x-{name}"))}


def _received(data: Body, at: datetime) -> Iterator[Event]:
    """Yield what a mail is that came in."""
    subject = text_of(data, "subject")
    headers = ({"subject": subject} if subject else {}) | headers_in(data.get("headers"))
    is_answer = has_token(*(texts_of(data, "received_for") or texts_of(data, "to")))
    id_ = message_id(text_of(data, "message_id")) or text_of(data, "email_id")
    return came_in(headers, required_text(data, "from"), at, id_, is_answer=is_answer)


SOURCE = JsonSource(knows, tell)
