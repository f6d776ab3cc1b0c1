"""Segment and RudderStack: pages, traits, and the events of Segment's email specification.

Somebody goes by the email in the traits, where there is one, else by `userId`; of the anonymous nothing is told.
https://segment.com/docs/connections/spec/ https://segment.com/docs/connections/spec/email/
"""

from collections.abc import Iterator

from crmflow.core.model import Event
from crmflow.sources.bodies import JsonSource, Told, unknown
from crmflow.sources.changes import Record, changed
from crmflow.sources.mail import workflow_in
from crmflow.sources.moments import iso
from crmflow.sources.objects import Body, object_of, required_text, text_of, word_of
from crmflow.sources.suspicion import is_machine, user_agent
from crmflow.sources.terms import Terms

TRACKS: dict[str, str] = {
    "email sent": "email_sent",
    "email delivered": "email_delivered",
    "email opened": "email_opened",
    "email link clicked": "link_clicked",
    "email bounced": "soft_bounced",  # it does not say whether for good
    "email marked as spam": "spam_reported",
    "unsubscribed": "unsubscribed",
}
"""Names of what is tracked, in small letters, and our events."""

_TYPES = frozenset({"page", "identify", "track"})
NO_EVENTS = frozenset({"screen", "group", "alias"})


def knows(body: Body) -> bool:
    """Tell whether a body is a call of Segment's."""
    return word_of(body, "type") in _TYPES | NO_EVENTS and bool({"anonymousId", "userId", "messageId"} & body.keys())


def tell(body: Body, terms: Terms) -> Iterator[Told]:
    """Yield what a call of Segment's tells."""
    word = required_text(body, "type")
    context, said = object_of(body, "context"), object_of(body, "properties")
    if word == "track" and (text_of(body, "event") or "").casefold() not in TRACKS:
        yield unknown(required_text(body, "event"))
        return
    name = _name(body, context, said)
    if word in NO_EVENTS or name is None:
        return
    at = iso(body.get("timestamp") or body.get("originalTimestamp") or body.get("sentAt"), terms.zone)
    record = Record("prospect", name, at, text_of(body, "messageId"))
    if word == "identify":
        for trait, value in (object_of(body, "traits") or object_of(context, "traits")).items():
            if value != name:
                yield from changed(record, trait, value)
        return
    is_by_machine = is_machine(user_agent(context, "userAgent"))
    if word == "track":
        yield _mail(body, record, terms, is_by_machine=is_by_machine)
    elif not is_by_machine and (url := text_of(said, "url") or text_of(object_of(context, "page"), "url")):
        yield Event(type="page_visited", at=at, record_type="prospect", name=name, id=record.id, url=url)


def _name(body: Body, context: Body, said: Body) -> str | None:
    traits = (object_of(body, "traits"), object_of(context, "traits"), said)
    return next((email for each in traits if (email := text_of(each, "email"))), None) or text_of(body, "userId")


def _mail(body: Body, record: Record, terms: Terms, *, is_by_machine: bool) -> Event:
    said = object_of(body, "properties")
    kind = TRACKS[required_text(body, "event").casefold()]
    campaign = text_of(object_of(object_of(body, "context"), "campaign"), "name")
    return Event(
        type=kind,
        at=record.at,
        record_type="prospect",
        name=record.name,
        id=record.id,
        workflow=workflow_in(terms, said) or campaign,
        url=(text_of(said, "link_url") or text_of(said, "url")) if kind == "link_clicked" else None,
        message=text_of(said, "email_id"),
        is_suspect=kind == "link_clicked" and is_by_machine,
    )


SOURCE = JsonSource(knows, tell, noise=("sentAt", "receivedAt"))
