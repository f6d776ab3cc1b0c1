"""Amazon SES: event publishing (`eventType`) and notifications about an identity (`notificationType`).

They come through SNS, SQS, EventBridge or Firehose, which are taken off before. Only event publishing gives message
tags back. Whether a bounce is for good is said for each recipient, whom a click is by is not said.
https://docs.aws.amazon.com/ses/latest/dg/event-publishing-retrieving-sns-contents.html
https://docs.aws.amazon.com/ses/latest/dg/notification-contents.html
"""

from collections.abc import Callable, Iterator
from typing import NamedTuple

from crmflow.core.model import Event
from crmflow.sources.batches import NOTHING
from crmflow.sources.bodies import JsonSource, Told, ambiguous, unknown
from crmflow.sources.envelopes import is_sns
from crmflow.sources.mail import address, bounce, workflow_in
from crmflow.sources.moments import iso
from crmflow.sources.objects import Body, object_of, objects_of, required_text, text_of, texts_of
from crmflow.sources.suspicion import is_machine, user_agent
from crmflow.sources.terms import Head, Terms

Fate = tuple[str, str]
"""A recipient, and the type of our event that happened to it."""


class Kind(NamedTuple):
    """What SES calls an event: the key of what it says about it, and what that means for which recipients."""

    key: str
    fates: Callable[[Body, Body], list[Fate]]


def _all(word: str) -> Callable[[Body, Body], list[Fate]]:
    """Return what tells that the same happened to everybody whom a mail was sent to."""
    return lambda _said, mail: [(each, word) for each in texts_of(mail, "destination")]


def _delivered(said: Body, _mail: Body) -> list[Fate]:
    return [(each, "email_delivered") for each in texts_of(said, "recipients")]


def _delayed(said: Body, _mail: Body) -> list[Fate]:
    return [(required_text(each, "emailAddress"), "soft_bounced") for each in objects_of(said, "delayedRecipients")]


def _bounced(said: Body, _mail: Body) -> list[Fate]:
    is_permanent = text_of(said, "bounceType") == "Permanent" and text_of(said, "bounceSubType") != _SUPPRESSED
    return [
        (
            required_text(each, "emailAddress"),
            bounce(text_of(each, "status"), is_hard=is_permanent and text_of(each, "action") in _FAILED),
        )
        for each in objects_of(said, "bouncedRecipients")
    ]


def _complained(said: Body, _mail: Body) -> list[Fate]:
    """Return who complained: all of a provider whom the mail was sent to, of whom one did."""
    if text_of(said, "complaintFeedbackType") == "not-spam" or text_of(said, "complaintSubType") == _SUPPRESSED:
        return []
    return [(required_text(each, "emailAddress"), "spam_reported") for each in objects_of(said, "complainedRecipients")]


def _subscribed(said: Body, mail: Body) -> list[Fate]:
    left = _left(object_of(said, "newTopicPreferences")) - _left(object_of(said, "oldTopicPreferences"))
    return _all("unsubscribed")(said, mail) if left else []


def _left(preferences: Body) -> set[str]:
    """Return the topics that a contact has opted out of; all of them are one more."""
    topics = objects_of(preferences, "topicSubscriptionStatus")
    out = {text_of(each, "topicName") or "" for each in topics if text_of(each, "subscriptionStatus") == "OptOut"}
    return out | ({_EVERYTHING} if preferences.get("unsubscribeAll") is True else set())


EVENTS: dict[str, Kind] = {
    "Send": Kind("send", _all("email_sent")),
    "Delivery": Kind("delivery", _delivered),
    "Open": Kind("open", _all("email_opened")),
    "Click": Kind("click", _all("link_clicked")),
    "Bounce": Kind("bounce", _bounced),
    "Complaint": Kind("complaint", _complained),
    "Reject": Kind("reject", _all("soft_bounced")),  # SES found a virus, and sent nothing
    "Rendering Failure": Kind("failure", _all("soft_bounced")),
    "DeliveryDelay": Kind("deliveryDelay", _delayed),
    "Subscription": Kind("subscription", _subscribed),
}
"""Their word for an event, the key of what they say about it, and what it means."""

_OF_ONE = frozenset({"email_opened", "link_clicked", "spam_reported", "unsubscribed"})
"""What one of those whom a mail was sent to has done; with several, nobody knows which."""

_SUPPRESSED = "OnAccountSuppressionList"
"""What says that nothing was sent, because of an old bounce or complaint: which of the two is not said."""

_FAILED = (None, "failed")
_EVERYTHING = ""
_CONFIRMED = "AmazonSnsSubscriptionSucceeded"


def knows(body: Body) -> bool:
    """Tell whether a body is an event of SES."""
    return _CONFIRMED in (body.get("notificationType"), body.get("eventType")) or (
        isinstance(body.get("mail"), dict) and bool({"eventType", "notificationType"} & body.keys())
    )


def tell(body: Body, terms: Terms) -> Iterator[Told]:
    """Yield what an event of SES tells of each recipient."""
    word = text_of(body, "eventType") or required_text(body, "notificationType")
    if word == _CONFIRMED:
        return
    if word not in EVENTS:
        yield unknown(word)
        return
    said, mail = object_of(body, EVENTS[word].key), object_of(body, "mail")
    fates = EVENTS[word].fates(said, mail)
    if len(fates) > 1 and fates[0][1] in _OF_ONE:
        yield NOTHING if fates[0][1] == "email_opened" else ambiguous(fates[0][1])
        return
    for recipient, kind in fates:
        yield Event(
            type=kind,
            at=iso(said.get("timestamp") or mail.get("timestamp"), terms.zone),
            record_type="prospect",
            name=address(recipient),
            id=text_of(said, "feedbackId"),
            workflow=workflow_in(terms, mail.get("tags"), said.get("linkTags"), _header_tags(mail)),
            url=text_of(said, "link"),
            message=text_of(mail, "messageId"),
            is_suspect=kind == "link_clicked" and is_machine(user_agent(said, "userAgent")),
        )


def _header_tags(mail: Body) -> list[str]:
    """Return the message tags that a mail was sent with, where its headers are told."""
    headers = objects_of(mail, "headers")
    return [
        tag
        for each in headers
        if (text_of(each, "name") or "").casefold() == "x-ses-message-tags"
        for tag in (text_of(each, "value") or "").split(",")
    ]


class _Ses(JsonSource):
    """The format: a log that holds no event yet, but says that one topic of SNS is subscribed to, is taken for it."""

    def recognises(self, head: Head) -> bool:
        """Tell whether a log begins like one of SES."""
        return super().recognises(head) or (head.body is None and is_sns(head.value))


SOURCE = _Ses(knows, tell)
