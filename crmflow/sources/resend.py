"""Resend: webhooks, as they are posted; their id stands in a header of HTTP and is not in the body.

What was sent along as `tags` comes back as an object or, in old bodies, as an array of names and values.
https://resend.com/docs/dashboard/webhooks/event-types
"""

from collections.abc import Iterator

from crmflow.core.model import Event
from crmflow.sources.batches import NOTHING
from crmflow.sources.bodies import JsonSource, Told, ambiguous, unknown
from crmflow.sources.letters import kind_of
from crmflow.sources.mail import address, bounce, headers_of, message_id, workflow_in
from crmflow.sources.moments import iso
from crmflow.sources.objects import Body, object_of, objects_of, required_text, text_of, texts_of
from crmflow.sources.suspicion import is_machine, user_agent
from crmflow.sources.terms import Terms

EVENTS: dict[str, str] = {
    "email.sent": "email_sent",
    "email.delivered": "email_delivered",
    "email.delivery_delayed": "soft_bounced",
    "email.bounced": "soft_bounced",  # unless it is permanent
    "email.failed": "soft_bounced",
    "email.suppressed": "soft_bounced",  # not sent, because of an old bounce or complaint
    "email.complained": "spam_reported",
    "email.opened": "email_opened",
    "email.clicked": "link_clicked",
}
"""Their word for an event about a mail, and ours."""

NO_EVENTS = frozenset({"email.scheduled", "contact.created", "contact.deleted"})
_OF_ONE = frozenset({"email_opened", "link_clicked", "spam_reported"})
"""What one of those whom a mail was sent to has done; with several, nobody knows which."""


def knows(body: Body) -> bool:
    """Tell whether a body is a webhook of Resend's."""
    word = body.get("type")
    return isinstance(word, str) and word.startswith(("email.", "contact.")) and isinstance(body.get("data"), dict)


def tell(body: Body, terms: Terms) -> Iterator[Told]:
    """Yield what a webhook of Resend's tells of each recipient."""
    word, data = required_text(body, "type"), object_of(body, "data")
    if word == "email.received":
        yield _letter(body, data, terms)
    elif word == "contact.updated":
        if data.get("unsubscribed") is True:
            at = iso(body.get("created_at"), terms.zone)
            yield Event(type="unsubscribed", at=at, record_type="prospect", name=address(required_text(data, "email")))
    elif word in EVENTS:
        yield from _of_mail(word, body, terms)
    elif word not in NO_EVENTS:
        yield unknown(word)


def _of_mail(word: str, body: Body, terms: Terms) -> Iterator[Told]:
    data = object_of(body, "data")
    kind, click = _kind(word, data), object_of(data, "click")
    recipients = texts_of(data, "to") if isinstance(data.get("to"), list) else [required_text(data, "to")]
    if len(recipients) > 1 and kind in _OF_ONE:
        yield NOTHING if kind == "email_opened" else ambiguous(kind)
        return
    for each in recipients:
        yield Event(
            type=kind,
            at=iso(click.get("timestamp") or body.get("created_at"), terms.zone),
            record_type="prospect",
            name=address(each),
            workflow=workflow_in(terms, data.get("tags"), data.get("headers")),
            url=text_of(click, "link"),
            message=text_of(data, "email_id"),
            is_suspect=kind == "link_clicked" and is_machine(user_agent(click, "userAgent")),
        )


def _kind(word: str, data: Body) -> str:
    if word != "email.bounced":
        return EVENTS[word]
    said = object_of(data, "bounce")
    return bounce(text_of(said, "message"), is_hard=text_of(said, "type") == "Permanent")


def _letter(body: Body, data: Body, terms: Terms) -> Event:
    """Return what a mail tells that came in: without headers that say more, it begins a conversation."""
    return Event(
        type=kind_of(headers_of(objects_of(data, "headers"))),
        at=iso(body.get("created_at"), terms.zone),
        record_type="prospect",
        name=address(required_text(data, "from")),
        id=message_id(text_of(data, "message_id")),
    )


SOURCE = JsonSource(knows, tell)
