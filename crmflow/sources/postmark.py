"""Postmark: webhooks, told apart by `RecordType`, and bounces as its Bounces API lists them.

What was sent along as `Metadata`, and the one `Tag`, come back under these names.
https://postmarkapp.com/developer/webhooks/webhooks-overview
"""

from collections.abc import Iterator

from crmflow.core.model import Event
from crmflow.sources.bodies import JsonSource, Told, unknown
from crmflow.sources.letters import kind_of
from crmflow.sources.mail import address, bounce, headers_of, message_id, workflow_in
from crmflow.sources.moments import iso, rfc5322
from crmflow.sources.objects import Body, object_of, objects_of, required_text, text_of
from crmflow.sources.suspicion import is_machine, user_agent
from crmflow.sources.terms import Terms

EVENTS: dict[str, tuple[str, str]] = {
    "Delivery": ("email_delivered", "DeliveredAt"),
    "Bounce": ("soft_bounced", "BouncedAt"),  # unless BOUNCES says otherwise
    "SpamComplaint": ("spam_reported", "BouncedAt"),
    "Open": ("email_opened", "ReceivedAt"),
    "Click": ("link_clicked", "ReceivedAt"),
    "SubscriptionChange": ("unsubscribed", "ChangedAt"),
}
"""Their record type, our event, and the key of its time."""

BOUNCES: dict[str, str | None] = {
    "HardBounce": "hard_bounced",
    "BadEmailAddress": "hard_bounced",
    "Unsubscribe": "unsubscribed",
    "SpamNotification": "spam_reported",
    "SpamComplaint": "spam_reported",
    "AutoResponder": "auto_replied",
    "AddressChange": "auto_replied",
    "ChallengeVerification": "auto_replied",
    "Subscribe": None,
}
"""Their `Type` of a bounce, and ours, None for no event. `TypeCode` means other things in other documents of theirs."""

_BY_ITSELF = "ManualSuppression"
"""Why a recipient left who left; other reasons repeat a bounce or a complaint."""


def knows(body: Body) -> bool:
    """Tell whether a body is of Postmark."""
    if isinstance(body.get("RecordType"), str) or {"FromFull", "MailboxHash"} <= body.keys():
        return True
    return {"BouncedAt", "Type", "ID"} <= body.keys()


def tell(body: Body, terms: Terms) -> Iterator[Told]:
    """Yield what a webhook of Postmark's tells."""
    word = text_of(body, "RecordType") or ("Inbound" if "FromFull" in body else "Bounce")
    if word == "Inbound":
        yield _letter(body)
        return
    if word not in EVENTS:
        yield unknown(word)
        return
    kind, time = _kind(word, body), EVENTS[word][1]
    name = text_of(body, "Email") or text_of(body, "Recipient")
    if kind is None or (name is None and kind == "unsubscribed"):  # who unsubscribed by mail is not always told
        return
    own = text_of(body, "ID")
    yield Event(
        type=kind,
        at=iso(body.get(time), terms.zone),
        record_type="prospect",
        name=address(name or required_text(body, "Recipient")),
        id=f"bounce/{own}" if own else None,
        workflow=workflow_in(terms, body.get("Metadata"), body.get("Tag")),
        url=text_of(body, "OriginalLink") if kind == "link_clicked" else None,
        message=text_of(body, "MessageID"),
        is_suspect=kind == "link_clicked" and is_machine(user_agent(body, "UserAgent")),
    )


def _kind(word: str, body: Body) -> str | None:
    if word == "Bounce":
        kind = BOUNCES.get(text_of(body, "Type") or "", "soft_bounced")
        return bounce(text_of(body, "Details"), is_hard=True) if kind == "hard_bounced" else kind
    if word == "SubscriptionChange":
        is_left = body.get("SuppressSending") is True and text_of(body, "SuppressionReason") == _BY_ITSELF
        return "unsubscribed" if is_left else None
    return EVENTS[word][0]


def _letter(body: Body) -> Event:
    """Return what a mail tells that came in; a hash in the address that it was sent to makes it an answer."""
    headers = headers_of(objects_of(body, "Headers"))
    kind = kind_of(headers)
    is_answer = kind == "conversation_started" and text_of(body, "MailboxHash") is not None
    return Event(
        type="replied" if is_answer else kind,
        at=rfc5322(required_text(body, "Date")),
        record_type="prospect",
        name=address(text_of(object_of(body, "FromFull"), "Email") or required_text(body, "From")),
        id=message_id(headers.get("message-id")) or text_of(body, "MessageID"),
    )


SOURCE = JsonSource(knows, tell)
