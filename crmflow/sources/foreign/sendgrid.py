"""SendGrid's Event Webhook: a JSON array of flat objects, as posted or one to a line.

What was sent along under `custom_args` comes back as keys of the event itself, `categories` as `category`.
https://www.twilio.com/docs/sendgrid/for-developers/tracking-events/event
"""

from collections.abc import Iterator

from crmflow.core.model import Event
from crmflow.sources.bodies import JsonSource, Told, unknown
from crmflow.sources.mail import address, bounce, message_id, workflow_in
from crmflow.sources.moments import epoch
from crmflow.sources.objects import Body, required_text, text_of, word_of
from crmflow.sources.suspicion import is_machine, user_agent
from crmflow.sources.terms import Terms

EVENTS: dict[str, str] = {
    "processed": "email_sent",
    "delivered": "email_delivered",
    "deferred": "soft_bounced",
    "bounce": "soft_bounced",  # unless _BOUNCES says otherwise
    "dropped": "soft_bounced",  # unless _DROPPED does: nothing was sent
    "open": "email_opened",
    "click": "link_clicked",
    "unsubscribe": "unsubscribed",
    "group_unsubscribe": "unsubscribed",
    "spamreport": "spam_reported",
}
"""Their word for an event, and ours."""

NO_EVENTS = frozenset({"group_resubscribe", "account_status_change"})
"""Their words for what is none of our events."""

_BOUNCES: dict[str, str] = {
    "bounce": "hard_bounced",
    "blocked": "soft_bounced",
    "expired": "soft_bounced",
}
"""Their `type` of a bounce; where it is missing, or is something that was sent along, its classification may tell."""

_FOR_GOOD = "Invalid Address"
"""The one `bounce_classification` that leaves no doubt."""

_DROPPED: dict[str, str] = {
    "bounced address": "hard_bounced",
    "invalid": "hard_bounced",
    "unsubscribed address": "unsubscribed",
    "spam reporting address": "spam_reported",
}
"""Their `reason` why a mail was dropped that was never sent, without case."""

_OF_ONE_KIND = frozenset({"sg_event_id", "sg_message_id"})


def knows(body: Body) -> bool:
    """Tell whether a body is an event of SendGrid's."""
    if _OF_ONE_KIND & body.keys():
        return True
    return word_of(body, "event") in {*EVENTS, *NO_EVENTS} and {"email", "timestamp"} <= body.keys()


def tell(body: Body, terms: Terms) -> Iterator[Told]:
    """Yield what an event of SendGrid's tells."""
    word = required_text(body, "event")
    if word in NO_EVENTS:
        return
    kind = _kind(word, body)
    if kind is None:
        yield unknown(word)
        return
    yield Event(
        type=kind,
        at=epoch(body.get("timestamp")),
        record_type="prospect",
        name=address(required_text(body, "email")),
        id=text_of(body, "sg_event_id"),
        workflow=workflow_in(terms, body, body.get("category")),
        url=text_of(body, "url") if kind == "link_clicked" else None,
        message=_message(body),
        is_suspect=kind == "link_clicked" and is_machine(user_agent(body, "useragent")),
    )


def _kind(word: str, body: Body) -> str | None:
    if word == "bounce":
        is_for_good = text_of(body, "bounce_classification") == _FOR_GOOD
        kind = _BOUNCES.get(text_of(body, "type") or "", "hard_bounced" if is_for_good else EVENTS[word])
        return bounce(text_of(body, "status"), is_hard=kind == "hard_bounced")
    if word == "dropped":
        return _DROPPED.get((text_of(body, "reason") or "").casefold(), EVENTS[word])
    return EVENTS.get(word)


def _message(body: Body) -> str | None:
    """Return what a mail is called in all events about it: what comes before `.filter` or `.recv` in their id of it.

    The Message-ID stands in some of its events only.
    """
    theirs = text_of(body, "sg_message_id")
    if theirs is None:
        return message_id(text_of(body, "smtp-id"))
    return theirs.partition(".filter")[0].partition(".recv")[0]


SOURCE = JsonSource(knows, tell)
