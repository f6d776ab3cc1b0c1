"""Calendly: webhooks about invitees. A meeting that is only moved books no other one.

`utm_campaign` of the link that was followed carries the workflow.
https://developer.calendly.com/api-docs/webhook-payload
"""

from collections.abc import Iterator

from crmflow.core.model import Event
from crmflow.sources.bodies import JsonSource, Told, unknown
from crmflow.sources.mail import address
from crmflow.sources.moments import iso
from crmflow.sources.objects import Body, object_of, required_text, text_of
from crmflow.sources.terms import Terms

_BOOKED = "invitee.created"
NO_EVENTS = frozenset({"invitee.canceled", "invitee_no_show.created", "invitee_no_show.deleted"})


def knows(body: Body) -> bool:
    """Tell whether a body is a webhook of Calendly's."""
    word = body.get("event")
    is_theirs = isinstance(word, str) and word.startswith(("invitee.", "invitee_no_show.", "routing_form_submission."))
    return is_theirs and isinstance(body.get("payload"), dict)


def tell(body: Body, terms: Terms) -> Iterator[Told]:
    """Yield what a webhook of Calendly's tells."""
    word = required_text(body, "event")
    if word in NO_EVENTS:
        return
    if word != _BOOKED:
        yield unknown(word)
        return
    payload = object_of(body, "payload")
    invitee = object_of(payload, "invitee") or payload  # version 1 had it there
    if text_of(payload, "old_invitee") is not None:
        return
    yield Event(
        type="meeting_booked",
        at=iso(body.get("created_at") or body.get("time"), terms.zone),
        record_type="prospect",
        name=address(required_text(invitee, "email")),
        id=text_of(invitee, "uri") or text_of(invitee, "uuid"),
        workflow=text_of(object_of(payload, "tracking"), "utm_campaign"),
    )


SOURCE = JsonSource(knows, tell)
