"""Brevo: webhooks about transactional and marketing mail, one body each or an array of them.

`id` is the webhook's number, not the event's. What was sent along as `tags`, or under `X-Mailin-custom`, comes back.
https://developers.brevo.com/docs/transactional-webhooks
"""

from collections.abc import Iterator
from datetime import datetime

from crmflow.core.model import Event
from crmflow.sources.bodies import JsonSource, Told, unknown
from crmflow.sources.mail import address, bounce, message_id, workflow_in
from crmflow.sources.moments import epoch, iso
from crmflow.sources.objects import Body, LineError, read_elements, required_text, text_of
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
    "hard_bounce": "hard_bounced",
    "invalid_email": "hard_bounced",
    "soft_bounce": "soft_bounced",
    "deferred": "soft_bounced",  # whatever code it carries: they try again
    "blocked": "soft_bounced",
    "error": "soft_bounced",
    "spam": "spam_reported",
    "complaint": "spam_reported",
    "unsubscribe": "unsubscribed",
    "unsubscribed": "unsubscribed",
    "reply": "replied",
}
"""Their word for an event, and ours."""

NO_EVENTS = frozenset({"list_addition", "contact_updated", "contact_deleted"})
_EPOCHS = ("ts_epoch", "s_epoch", "ts_event", "ts")
"""Where the time stands, in milliseconds or in seconds: the first that is there."""

_OF_ONE_KIND = frozenset({"message-id", "ts_epoch", "ts_event", "camp_id", "date_event"})


def knows(body: Body) -> bool:
    """Tell whether a body is a webhook of Brevo's."""
    return {"event", "email"} <= body.keys() and bool(_OF_ONE_KIND & body.keys()) and "sg_event_id" not in body


def tell(body: Body, terms: Terms) -> Iterator[Told]:
    """Yield what a webhook of Brevo's tells."""
    word = required_text(body, "event")
    if word in NO_EVENTS:
        return
    if word not in EVENTS:
        yield unknown(word)
        return
    kind = EVENTS[word]
    if kind == "hard_bounced":
        kind = bounce(text_of(body, "reason"), is_hard=True)
    yield Event(
        type=kind,
        at=_time(body, terms),
        record_type="prospect",
        name=address(required_text(body, "email")),
        workflow=workflow_in(terms, body.get("tags"), *_written(body, "tag"), *_written(body, "X-Mailin-custom")),
        url=(text_of(body, "link") or text_of(body, "URL")) if kind == "link_clicked" else None,
        message=message_id(text_of(body, "message-id")),
        is_suspect=kind == "link_clicked" and is_machine(user_agent(body, "user_agent")),
    )


def _time(body: Body, terms: Terms) -> datetime:
    """Return when it happened; `date`, by the clock of the account, only where nothing else tells."""
    for key in _EPOCHS:
        if body.get(key) is not None:
            return epoch(body[key])
    return iso(body.get("date_event") or body.get("date"), terms.zone)


def _written(body: Body, key: str) -> list[object]:
    """Return what stands under a key: a value, or the JSON that is its text."""
    value = body.get(key)
    if isinstance(value, str) and value.lstrip().startswith(("[", "{")):
        try:
            parsed = [element.value for element in read_elements(value)]
        except LineError:
            return [value]
        return parsed if value.lstrip().startswith("{") else [parsed]
    return [value]


SOURCE = JsonSource(knows, tell, noise=("retry",))
