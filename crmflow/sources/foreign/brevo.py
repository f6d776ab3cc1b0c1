"""Brevo (Sendinblue): webhook bodies about transactional mail and about campaigns, and mail that it takes in.

What was sent along comes back as `tags`, as `tag` (a text, a list, or a list as JSON), and as `X-Mailin-custom`. An
event has no id: `id` is the webhook's. Of its times only `ts_epoch` was always found to be in UTC, in milliseconds or
in seconds; `date` is by the clocks of the account.
https://developers.brevo.com/docs/transactional-webhooks
https://developers.brevo.com/docs/marketing-webhooks
https://developers.brevo.com/docs/inbound-parse-webhooks
"""

from collections.abc import Iterator
from datetime import datetime, tzinfo

from crmflow.core.model import Event
from crmflow.sources.bodies import JsonSource, Told, unknown
from crmflow.sources.letters import came_in, has_token, headers_in, written_at
from crmflow.sources.mail import address, bounce, message_id, workflow_in
from crmflow.sources.moments import epoch, iso
from crmflow.sources.objects import (
    Body,
    LineError,
    object_of,
    objects_of,
    read_elements,
    read_utf8,
    required_text,
    text_of,
    texts_of,
)
from crmflow.sources.suspicion import is_machine, user_agent
from crmflow.sources.terms import Terms

EVENTS: dict[str, str] = {
    "request": "email_sent",
    "sent": "email_sent",
    "delivered": "email_delivered",
    "opened": "email_opened",
    "unique_opened": "email_opened",
    "proxy_open": "email_opened",
    "unique_proxy_open": "email_opened",
    "click": "link_clicked",
    "hard_bounce": "hard_bounced",  # unless its `reason` says that it may pass
    "invalid_email": "hard_bounced",  # as above
    "soft_bounce": "soft_bounced",
    "deferred": "soft_bounced",  # whatever its `reason` says: they go on trying
    "blocked": "soft_bounced",  # nothing was sent, for one of several reasons
    "error": "soft_bounced",
    "unsubscribe": "unsubscribed",
    "unsubscribed": "unsubscribed",
    "spam": "spam_reported",
    "complaint": "spam_reported",
    "reply": "replied",
}
"""Their word for an event, and ours."""

NO_EVENTS = frozenset({"list_addition", "contact_updated", "contact_deleted"})
"""Their words for what is none of our events."""

_CLOCKS = ("ts_epoch", "s_epoch", "ts_event")
"""Keys of numbers that say when something happened, the most reliable first."""

_OF_MAIL = frozenset({"message-id", "camp_id"})
_RECEIVED = frozenset({"Uuid", "From", "SentAtDate"})


def knows(body: Body) -> bool:
    """Tell whether a body is an event of Brevo's, or a mail that came in through it."""
    if body.keys() >= _RECEIVED:
        return True
    word = body.get("event")
    return isinstance(word, str) and "email" in body and (word in NO_EVENTS or not _OF_MAIL.isdisjoint(body))


def tell(body: Body, terms: Terms) -> Iterator[Told]:
    """Yield what a body of Brevo's tells."""
    if body.keys() >= _RECEIVED:
        yield from _mail(body, terms)
        return
    word = required_text(body, "event")
    if word in NO_EVENTS:
        return
    if word not in EVENTS:
        yield unknown(word)
        return
    kind = EVENTS[word]
    if kind == "hard_bounced":
        kind = bounce(text_of(body, "reason"), is_hard=True)
    is_click = kind == "link_clicked"
    yield Event(
        type=kind,
        at=_time(body, terms.zone),
        record_type="prospect",
        name=address(required_text(body, "email")),
        workflow=workflow_in(terms, *(_marks(body.get(key)) for key in ("X-Mailin-custom", "tags", "tag"))),
        url=text_of(body, "link") or text_of(body, "URL") if is_click else None,
        message=_message(body),
        is_suspect=is_click and is_machine(user_agent(body, "user_agent")),
    )


def _time(body: Body, zone: tzinfo | None) -> datetime:
    number = next((body[key] for key in _CLOCKS if body.get(key) is not None), None)
    return iso(body.get("date_event") or body.get("date"), zone) if number is None else epoch(number)


def _marks(said: object) -> object:
    """Return what may name a workflow: a text as the JSON that it is, or as the parts that `|` divides."""
    if not isinstance(said, str):
        return said
    try:
        found = [each.value for each in read_elements(read_utf8(said.encode("utf-8", "surrogatepass")))]
    except LineError:  # most are no JSON
        return said.split("|")
    return found[0] if said.lstrip().startswith("{") else found


def _message(body: Body) -> str | None:
    """Return what a mail is called in all events about it; all mails of a campaign are one."""
    campaign = text_of(body, "camp_id")
    return message_id(text_of(body, "message-id")) or (campaign and f"campaign {campaign}")


def _mail(body: Body, terms: Terms) -> Iterator[Event]:
    """Yield what a mail is that came in."""
    told = {"date": "SentAtDate", "subject": "Subject", "in-reply-to": "InReplyTo"}
    headers = {name: text_of(body, key) or "" for name, key in told.items()} | headers_in(body.get("Headers"))
    recipients = [text_of(each, "Address") for each in objects_of(body, "To")]
    return came_in(
        headers,
        required_text(object_of(body, "From"), "Address"),
        written_at(headers, terms.zone),
        next(iter(texts_of(body, "Uuid")), None),
        is_answer=has_token(*([headers["delivered-to"]] if "delivered-to" in headers else recipients)),
    )


SOURCE = JsonSource(knows, tell)
