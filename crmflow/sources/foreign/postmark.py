"""Postmark: webhook bodies, pages of the Bounces API, and mail that its inbound server posts.

What was sent along as `Metadata` comes back, and one `Tag`. A kind of bounce is known by its `Type`; its `TypeCode` is
not the same in all of their documents.
https://postmarkapp.com/developer/webhooks/webhooks-overview
https://postmarkapp.com/developer/api/bounce-api#bounce-types
"""

from collections.abc import Iterator
from typing import NamedTuple

from crmflow.core.model import Event
from crmflow.sources.bodies import JsonSource, Told, ambiguous, unknown
from crmflow.sources.letters import came_in, headers_in, written_at
from crmflow.sources.mail import address, bounce, message_id, workflow_in
from crmflow.sources.moments import iso
from crmflow.sources.objects import Body, object_of, objects_of, required_text, text_of
from crmflow.sources.suspicion import is_machine, user_agent
from crmflow.sources.terms import Terms


class Kind(NamedTuple):
    """What Postmark calls a record: what that is to us, and the keys of whom it is about and of when it happened."""

    type: str
    who: str
    when: str


EVENTS: dict[str, Kind] = {
    "Delivery": Kind("email_delivered", "Recipient", "DeliveredAt"),
    "Open": Kind("email_opened", "Recipient", "ReceivedAt"),
    "Click": Kind("link_clicked", "Recipient", "ReceivedAt"),  # the first one by a recipient on a link
    "Bounce": Kind("soft_bounced", "Email", "BouncedAt"),  # unless _BOUNCES says otherwise
    "SpamComplaint": Kind("spam_reported", "Email", "BouncedAt"),
    "SubscriptionChange": Kind("unsubscribed", "Recipient", "ChangedAt"),  # if _LEFT is why
}
"""Their word for a record, under `RecordType`."""

_INBOUND = "Inbound"

_OF_ALL = frozenset({"MessageID", "Recipient", "Email"})
"""Keys one of which every body has."""

_BOUNCES: dict[str, str | None] = {
    "HardBounce": "hard_bounced",
    "BadEmailAddress": "hard_bounced",
    "SpamComplaint": "spam_reported",
    "SpamNotification": "spam_reported",
    "Unsubscribe": "unsubscribed",
    "AutoResponder": "auto_replied",
    "AddressChange": "auto_replied",  # an answer by machine that names another address
    "ChallengeVerification": "auto_replied",  # an answer by machine that wants one by a person
    "Subscribe": None,
    "InboundError": None,  # our own server did not take a mail in
}
"""Their `Type` of a bounce, None for no event; any other is none for good."""

_LEFT = "ManualSuppression"
"""Their `SuppressionReason` where somebody left; others repeat a bounce or a complaint."""


def knows(body: Body) -> bool:
    """Tell whether a body is one of Postmark's; only newer bounces and mails say so themselves."""
    return (
        (isinstance(body.get("RecordType"), str) and not _OF_ALL.isdisjoint(body))
        or {"FromFull", "MailboxHash"} <= body.keys()
        or {"Type", "TypeCode", "BouncedAt"} <= body.keys()
    )


def tell(body: Body, terms: Terms) -> Iterator[Told]:
    """Yield what a body of Postmark's tells."""
    word = text_of(body, "RecordType") or (_INBOUND if "FromFull" in body else "Bounce")
    if word == _INBOUND:
        yield from _mail(body, terms)
        return
    if word not in EVENTS:
        yield unknown(word)
        return
    _, who, when = EVENTS[word]
    kind, own = _kind(word, body), text_of(body, "ID")
    if kind is None:
        return
    if kind == "unsubscribed" and text_of(body, who) is None:
        yield ambiguous(kind)  # Postmark does not always know who wrote to unsubscribe
        return
    yield Event(
        type=kind,
        at=iso(body.get(when), terms.zone),
        record_type="prospect",
        name=address(required_text(body, who)),
        id=own and f"bounce/{own}",
        workflow=workflow_in(terms, body.get("Metadata"), body.get("Tag")),
        url=text_of(body, "OriginalLink") if kind == "link_clicked" else None,
        message=text_of(body, "MessageID"),
        is_suspect=kind == "link_clicked" and is_machine(user_agent(body, "UserAgent")),
    )


def _kind(word: str, body: Body) -> str | None:
    """Return what a record is to us, None for nothing."""
    if word == "SubscriptionChange":
        is_left = body.get("SuppressSending") is True and text_of(body, "SuppressionReason") == _LEFT
        return "unsubscribed" if is_left else None
    if word != "Bounce":
        return EVENTS[word].type
    kind = _BOUNCES.get(text_of(body, "Type") or "", EVENTS[word].type)
    return bounce(text_of(body, "Details"), is_hard=True) if kind == "hard_bounced" else kind


def _mail(body: Body, terms: Terms) -> Iterator[Event]:
    """Yield what a mail is that came in; the part behind a plus of the address that it went to has a key of its own."""
    told = {"date": text_of(body, "Date") or "", "subject": text_of(body, "Subject") or ""}
    headers = told | headers_in(body.get("Headers"))
    hashes = [text_of(each, "MailboxHash") for each in (body, *objects_of(body, "ToFull"))]
    return came_in(
        headers,
        text_of(object_of(body, "FromFull"), "Email") or required_text(body, "From"),
        written_at(headers, terms.zone),
        message_id(headers.get("message-id")) or text_of(body, "MessageID"),
        is_answer=any(hashes),
    )


SOURCE = JsonSource(knows, tell)
