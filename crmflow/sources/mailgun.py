"""Mailgun: webhooks (the event under `event-data`), and events as its Events API lists them.

What was sent along as `v:NAME` comes back as `user-variables`.
https://documentation.mailgun.com/docs/mailgun/user-manual/events/events
"""

from collections.abc import Iterator

from crmflow.core.model import Event
from crmflow.sources.bodies import JsonSource, Told, unknown
from crmflow.sources.mail import address, bounce, message_id, workflow_in
from crmflow.sources.moments import epoch
from crmflow.sources.objects import Body, object_of, required_text, text_of, word_of
from crmflow.sources.suspicion import is_machine, user_agent
from crmflow.sources.terms import Terms

EVENTS: dict[str, str] = {
    "accepted": "email_sent",
    "delivered": "email_delivered",
    "failed": "soft_bounced",  # unless its reason, and that it is permanent, say more
    "rejected": "soft_bounced",  # Mailgun would not send it
    "opened": "email_opened",
    "clicked": "link_clicked",
    "unsubscribed": "unsubscribed",
    "complained": "spam_reported",
}
"""Their word for an event, and ours."""

NO_EVENTS = frozenset({"stored", "list_member_uploaded", "list_member_upload_error", "list_uploaded"})
"""Their words for what is none of our events."""

_FOR_GOOD: dict[str, str] = {
    "bounce": "hard_bounced",
    "hardfail": "hard_bounced",  # what old events say
    "suppress-bounce": "hard_bounced",  # not sent, because it had bounced for good
    "suppress-unsubscribe": "unsubscribed",
    "suppress-complaint": "spam_reported",
}
"""Their `reason` of what failed for good; others (too many tries, their own limits) tell nothing of the address."""

_OF_ALL = frozenset({"timestamp", "id"})
_OF_MOST = frozenset({"log-level", "recipient", "user-variables", "delivery-status"})


def knows(body: Body) -> bool:
    """Tell whether a body is a webhook or an event of Mailgun's."""
    if isinstance(body.get("event-data"), dict):
        return True
    return word_of(body, "event") in {*EVENTS, *NO_EVENTS} and body.keys() >= _OF_ALL and bool(_OF_MOST & body.keys())


def tell(body: Body, terms: Terms) -> Iterator[Told]:
    """Yield what an event of Mailgun's tells."""
    said = object_of(body, "event-data") or body
    word = required_text(said, "event")
    if word in NO_EVENTS:
        return
    if word not in EVENTS:
        yield unknown(word)
        return
    at = epoch(said.get("timestamp"))
    headers = object_of(object_of(said, "message"), "headers")
    client = object_of(said, "client-info")
    own = text_of(said, "id")
    kind = _failure(said) if word == "failed" else EVENTS[word]
    yield Event(
        type=kind,
        at=at,
        record_type="prospect",
        name=address(text_of(said, "recipient") or required_text(headers, "to")),
        id=f"{at:%Y-%m-%d}/{own}" if own else None,  # it is only unique within a day
        workflow=workflow_in(terms, said.get("user-variables"), said.get("tags")),
        url=text_of(said, "url") if kind == "link_clicked" else None,
        message=message_id(text_of(headers, "message-id")),
        is_suspect=kind == "link_clicked"
        and (bool(text_of(client, "bot")) or is_machine(user_agent(client, "user-agent"))),
    )


def _failure(said: Body) -> str:
    """Return what a failure is: only what is permanent, and for a reason that lies in the address, is for good."""
    if text_of(said, "severity") != "permanent":
        return "soft_bounced"
    kind = _FOR_GOOD.get(text_of(said, "reason") or "", "soft_bounced")
    if kind != "hard_bounced":
        return kind
    status = object_of(said, "delivery-status")
    return bounce(f"{text_of(status, 'enhanced-code') or ''} {text_of(status, 'message') or ''}", is_hard=True)


SOURCE = JsonSource(knows, tell, noise=("signature",))
