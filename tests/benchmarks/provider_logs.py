"""The same mails as several providers tell of them: what was sent, opened, clicked and bounced, one body a line."""

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from random import Random
from typing import Any, NamedTuple

from tests.benchmarks.crm import SITE, Size, email_of, workflow_of

FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0"
BEGIN = int(datetime(2026, 1, 5, tzinfo=UTC).timestamp())
BETWEEN = 3
"""Seconds between two events."""

KINDS = {"opened": 50, "sent": 33, "clicked": 13, "bounced": 4}
"""How many of a hundred events are of which kind."""


class Told(NamedTuple):
    """What happened to a mail; each of them is about a mail of its own."""

    kind: str
    number: int
    at: int
    email: str
    workflow: str

    @property
    def mail(self) -> str:
        """Return what the mail is called."""
        return f"mail-{self.number:09}"

    @property
    def url(self) -> str:
        """Return the link that was clicked."""
        return f"{SITE}/r/{self.number % 10_000}"

    @property
    def written_at(self) -> str:
        """Return the time as ISO 8601 has it, without an offset."""
        return datetime.fromtimestamp(self.at, UTC).strftime("%Y-%m-%dT%H:%M:%S")


def told(size: Size, count: int, seed: str) -> Iterator[Told]:
    """Yield what happened, about the enrolled prospects of a CRM; the same arguments give the same."""
    rng = Random(seed)
    for number, kind in enumerate(rng.choices(list(KINDS), list(KINDS.values()), k=count)):
        person = int(rng.random() * size.enrolled)
        workflow = workflow_of(person, int(rng.random() * 4))
        yield Told(kind, number, BEGIN + BETWEEN * number, email_of(person), workflow)


def lines(provider: str, size: Size, count: int, seed: str) -> Iterator[str]:
    """Yield the log of a provider, line by line."""
    body = PROVIDERS[provider]
    for each in told(size, count, seed):
        yield json.dumps(body(each), separators=(",", ":")) + "\n"


def _sendgrid(each: Told) -> dict[str, Any]:
    words = {"opened": "open", "sent": "processed", "clicked": "click", "bounced": "bounce"}
    body = {
        "email": each.email,
        "timestamp": each.at,
        "smtp-id": f"<{each.mail}@geopod-ismtpd-1>",
        "event": words[each.kind],
        "category": ["outreach"],
        "workflow": each.workflow,
        "sg_event_id": f"ev-{each.number:020}",
        "sg_message_id": f"{each.mail}.filterdrecv-5d4f-1",
    }
    if each.kind in {"opened", "clicked"}:
        body |= {"ip": "192.0.2.20", "useragent": FIREFOX}
    if each.kind == "clicked":
        body |= {"url": each.url, "url_offset": {"index": 0, "type": "html"}}
    if each.kind == "bounced":
        body |= {"type": "bounce", "status": "5.1.1", "reason": "550 5.1.1 no such user", "tls": 1}
    return body


def _ses(each: Told) -> dict[str, Any]:
    at = f"{each.written_at}.000Z"
    mail = {
        "timestamp": at,
        "source": "Acme <news@acme.example>",
        "messageId": each.mail,
        "destination": [each.email],
        "headersTruncated": False,
        "commonHeaders": {"from": ["Acme <news@acme.example>"], "to": [each.email], "subject": "Hello"},
        "tags": {"workflow": [each.workflow], "ses:operation": ["SendEmail"]},
    }
    match each.kind:
        case "sent":
            return {"eventType": "Send", "mail": mail, "send": {}}
        case "opened":
            return {"eventType": "Open", "mail": mail, "open": {"timestamp": at, "userAgent": FIREFOX}}
        case "clicked":
            click = {"timestamp": at, "userAgent": FIREFOX, "ipAddress": "192.0.2.20", "link": each.url}
            return {"eventType": "Click", "mail": mail, "click": click}
    recipient = {"emailAddress": each.email, "action": "failed", "status": "5.1.1"}
    bounce = {"bounceType": "Permanent", "bounceSubType": "General", "bouncedRecipients": [recipient], "timestamp": at}
    return {"eventType": "Bounce", "mail": mail, "bounce": bounce}


def _mailgun(each: Told) -> dict[str, Any]:
    words = {"opened": "opened", "sent": "accepted", "clicked": "clicked", "bounced": "failed"}
    data = {
        "id": f"id-{each.number:020}",
        "timestamp": each.at + 0.25,
        "log-level": "info",
        "event": words[each.kind],
        "recipient": each.email,
        "message": {"headers": {"message-id": f"{each.mail}@mg.acme.example"}},
        "user-variables": {"workflow": each.workflow},
        "tags": ["outreach"],
    }
    if each.kind in {"opened", "clicked"}:
        data["client-info"] = {"client-name": "Firefox", "bot": "", "user-agent": FIREFOX}
    if each.kind == "clicked":
        data["url"] = each.url
    if each.kind == "bounced":
        data |= {
            "severity": "permanent",
            "reason": "bounce",
            "delivery-status": {"code": 550, "message": "5.1.1 no user"},
        }
    return {"signature": {"token": "t", "timestamp": str(each.at), "signature": "s"}, "event-data": data}


def _postmark(each: Told) -> dict[str, Any]:
    at = f"{each.written_at}.0000000Z"
    body = {"MessageID": each.mail, "MessageStream": "outbound", "Tag": "", "Metadata": {"workflow": each.workflow}}
    match each.kind:
        case "sent":
            return {"RecordType": "Delivery", "Recipient": each.email, "DeliveredAt": at, "Details": "OK", **body}
        case "opened":
            return {"RecordType": "Open", "Recipient": each.email, "ReceivedAt": at, "UserAgent": FIREFOX, **body}
        case "clicked":
            link = {"OriginalLink": each.url, "ClickLocation": "HTML", "UserAgent": FIREFOX}
            return {"RecordType": "Click", "Recipient": each.email, "ReceivedAt": at, **link, **body}
    bounce = {"Type": "HardBounce", "TypeCode": 1, "Email": each.email, "BouncedAt": at, "Details": "550 5.1.1"}
    return {"RecordType": "Bounce", "ID": each.number, **bounce, **body}


def _brevo(each: Told) -> dict[str, Any]:
    words = {"opened": "opened", "sent": "delivered", "clicked": "click", "bounced": "hard_bounce"}
    body = {
        "event": words[each.kind],
        "email": each.email,
        "id": 9999999,
        "message-id": f"<{each.mail}@smtp-relay.mailin.fr>",
        "ts_epoch": each.at * 1000,
        "ts_event": each.at,
        "X-Mailin-custom": f"workflow:{each.workflow}",
        "tag": "",
    }
    if each.kind in {"opened", "clicked"}:
        body["user_agent"] = FIREFOX
    if each.kind == "clicked":
        body["link"] = each.url
    return body


PROVIDERS: dict[str, Callable[[Told], dict[str, Any]]] = {
    "sendgrid": _sendgrid,
    "ses": _ses,
    "mailgun": _mailgun,
    "postmark": _postmark,
    "brevo": _brevo,
}
"""What each provider says of an event."""
