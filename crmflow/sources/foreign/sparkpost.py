"""SparkPost (Bird): webhooks, each event wrapped in `msys` and the name of its class.

What was sent along as `metadata` comes back as `rcpt_meta`. Numbers are texts.
https://developers.sparkpost.com/api/webhooks/
"""

from collections.abc import Iterator

from crmflow.core.model import Event
from crmflow.sources.bodies import JsonSource, Told, unknown
from crmflow.sources.letters import came_in, has_token, headers_in, written_at
from crmflow.sources.mail import address, bounce, message_id, workflow_in
from crmflow.sources.moments import epoch
from crmflow.sources.objects import Body, object_of, required_text, text_of
from crmflow.sources.suspicion import is_machine, user_agent
from crmflow.sources.terms import Terms

EVENTS: dict[str, str] = {
    "injection": "email_sent",
    "delivery": "email_delivered",
    "bounce": "soft_bounced",  # unless CLASSES says otherwise
    "out_of_band": "soft_bounced",  # so here
    "delay": "soft_bounced",
    "policy_rejection": "soft_bounced",
    "generation_failure": "soft_bounced",
    "generation_rejection": "soft_bounced",
    "spam_complaint": "spam_reported",
    "open": "email_opened",
    "initial_open": "email_opened",
    "amp_open": "email_opened",
    "amp_initial_open": "email_opened",
    "click": "link_clicked",
    "amp_click": "link_clicked",
    "list_unsubscribe": "unsubscribed",
    "link_unsubscribe": "unsubscribed",
}
"""Their `type` of an event, and ours."""

CLASSES: dict[str, str] = {
    "10": "hard_bounced",  # invalid recipient
    "30": "hard_bounced",  # no such recipient
    "60": "auto_replied",
    "80": "auto_replied",  # a request to subscribe
    "90": "unsubscribed",
    "100": "auto_replied",  # challenge and response
}
"""Their `bounce_class`; all others say that a mail did not arrive, and nothing of the address."""

_LETTER = "relay_message"


def knows(body: Body) -> bool:
    """Tell whether a body is of SparkPost."""
    return isinstance(body.get("msys"), dict)


def tell(body: Body, terms: Terms) -> Iterator[Told]:
    """Yield what an event of SparkPost's tells; an empty one is a ping."""
    groups = object_of(body, "msys")
    for group in groups:
        said = object_of(groups, group)
        if group == _LETTER:
            yield from _letter(said, terms)
            continue
        word = required_text(said, "type")
        yield unknown(word) if word not in EVENTS else _event(word, said, terms)


def _event(word: str, said: Body, terms: Terms) -> Event:
    kind = EVENTS[word]
    if word in {"bounce", "out_of_band"}:
        kind = CLASSES.get(text_of(said, "bounce_class") or "", kind)
        if kind == "hard_bounced":
            kind = bounce(text_of(said, "raw_reason") or text_of(said, "reason"), is_hard=True)
    return Event(
        type=kind,
        at=epoch(said.get("timestamp")),
        record_type="prospect",
        name=address(text_of(said, "raw_rcpt_to") or required_text(said, "rcpt_to")),
        id=text_of(said, "event_id"),
        workflow=workflow_in(terms, said.get("rcpt_meta"), said.get("rcpt_tags"), text_of(said, "campaign_id")),
        url=text_of(said, "target_link_url") if kind == "link_clicked" else None,
        message=text_of(said, "message_id") or text_of(said, "transmission_id"),
        is_suspect=kind == "link_clicked" and is_machine(user_agent(said, "user_agent")),
    )


def _letter(said: Body, terms: Terms) -> Iterator[Event]:
    """Yield what a mail is that came in."""
    headers = headers_in(object_of(said, "content").get("headers"))
    return came_in(
        headers,
        text_of(said, "friendly_from") or required_text(said, "msg_from"),
        written_at(headers, terms.zone),
        message_id(headers.get("message-id")),
        is_answer=has_token(text_of(said, "rcpt_to")),
    )


SOURCE = JsonSource(knows, tell)
