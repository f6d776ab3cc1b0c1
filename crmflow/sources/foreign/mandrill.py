"""Mandrill (Mailchimp Transactional): webhooks, as the form that is posted (`mandrill_events=...`) or the JSON in it.

What was sent along as `metadata` comes back in `msg`. Events have no id: `_id` is that of the mail.
https://mailchimp.com/developer/transactional/docs/webhooks/
"""

from collections.abc import Iterator
from urllib.parse import parse_qs

from crmflow.core.model import Event
from crmflow.sources.bodies import JsonSource, Told, unknown
from crmflow.sources.letters import came_in, has_token, headers_in
from crmflow.sources.mail import address, bounce, message_id, workflow_in
from crmflow.sources.moments import epoch
from crmflow.sources.objects import Body, Element, LineError, object_of, read_elements, required_text, text_of, word_of
from crmflow.sources.suspicion import is_machine, user_agent
from crmflow.sources.terms import Head, Terms

EVENTS: dict[str, str] = {
    "send": "email_sent",
    "delivered": "email_delivered",
    "deferral": "soft_bounced",
    "soft_bounce": "soft_bounced",
    "hard_bounce": "hard_bounced",
    "reject": "soft_bounced",  # not sent, because of what was before
    "open": "email_opened",
    "click": "link_clicked",
    "spam": "spam_reported",
    "unsub": "unsubscribed",
}
"""Their word for an event, and ours."""

_FORM = "mandrill_events="
_SYNC = frozenset({"blacklist", "whitelist", "allowlist", "denylist"})
"""What happens to lists of addresses: a `type`, and no event."""


def knows(body: Body) -> bool:
    """Tell whether a body is of Mandrill."""
    if isinstance(body.get("msg"), dict) and {"event", "ts"} <= body.keys():
        return True
    return word_of(body, "type") in _SYNC and "action" in body


def tell(body: Body, terms: Terms) -> Iterator[Told]:
    """Yield what an event of Mandrill's tells."""
    word, mail = text_of(body, "event"), object_of(body, "msg")
    if word is None:
        return
    if word == "inbound":
        yield from _letter(body, mail)
        return
    if word not in EVENTS:
        yield unknown(word)
        return
    kind = EVENTS[word]
    if kind == "hard_bounced":
        kind = bounce(text_of(mail, "diag"), is_hard=True)
    yield Event(
        type=kind,
        at=epoch(body.get("ts")),
        record_type="prospect",
        name=address(required_text(mail, "email")),
        workflow=workflow_in(terms, mail.get("metadata"), mail.get("tags")),
        url=text_of(body, "url") if kind == "link_clicked" else None,
        message=text_of(mail, "_id") or text_of(body, "_id"),
        is_suspect=kind == "link_clicked" and is_machine(user_agent(body, "user_agent")),
    )


def _letter(body: Body, mail: Body) -> Iterator[Event]:
    """Yield what a mail is that came in."""
    headers = {"subject": text_of(mail, "subject") or ""} | headers_in(mail.get("headers"))
    id_, is_answer = message_id(headers.get("message-id")), has_token(text_of(mail, "email"))
    return came_in(headers, required_text(mail, "from_email"), epoch(body.get("ts")), id_, is_answer=is_answer)


def read(text: str) -> list[Element]:
    """Return the JSON values that a line holds, be it the form or JSON; raises `LineError`."""
    start = len(text) - len(text.lstrip())
    if not text.startswith(_FORM, start):
        return read_elements(text)
    try:
        [events] = parse_qs(text.strip(), strict_parsing=True)[_FORM.removesuffix("=")]
    except (KeyError, ValueError) as error:
        raise LineError("no form of Mandrill's") from error
    return [Element(start, len(text.rstrip()), [each.value for each in read_elements(events)])]


class _Mandrill(JsonSource):
    """The format: a log of forms is one, too."""

    def recognises(self, head: Head) -> bool:
        """Tell whether a log begins like one of Mandrill's."""
        return super().recognises(head) or head.data.startswith(_FORM.encode())


SOURCE = _Mandrill(knows, tell, read=read)
