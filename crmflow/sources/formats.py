"""The formats that logs may have, and how the format of a log is found out: by looking at how it begins.

A format is a row here and a module (foreign ones lie in a folder), loaded when needed: for a log that is not plainly
ours. The order of the rows decides where two formats would recognise a log.
"""

from collections.abc import Callable, Iterator
from datetime import datetime
from typing import NamedTuple

import msgspec

from crmflow.core.errors import UsageError
from crmflow.core.triggers import EVERYTHING, Interest
from crmflow.sources.batches import Batch
from crmflow.sources.envelopes import unwrap
from crmflow.sources.inputs import BOM
from crmflow.sources.logs import Layout, Log, Piece
from crmflow.sources.objects import Body, Element, LineError, elements_at, read_utf8
from crmflow.sources.terms import MAIL, OURS, Head, Options, Source, Terms, zone_named

_LINES_LOOKED_AT = 20
_WHITE = b" \t\r\n"
ANY = Options()
"""The options of who says nothing about logs."""
_OPENINGS = (b"[", b"{", b"[{")
"""First lines of JSON that goes on over many lines."""


def _crmflow() -> Source:
    from crmflow.sources import jsonl

    return jsonl.SOURCE


def _sendgrid() -> Source:
    from crmflow.sources.foreign import sendgrid

    return sendgrid.SOURCE


def _ses() -> Source:
    from crmflow.sources.foreign import ses

    return ses.SOURCE


def _mailgun() -> Source:
    from crmflow.sources.foreign import mailgun

    return mailgun.SOURCE


def _postmark() -> Source:
    from crmflow.sources.foreign import postmark

    return postmark.SOURCE


def _resend() -> Source:
    from crmflow.sources.foreign import resend

    return resend.SOURCE


def _brevo() -> Source:
    from crmflow.sources.foreign import brevo

    return brevo.SOURCE


def _sparkpost() -> Source:
    from crmflow.sources.foreign import sparkpost

    return sparkpost.SOURCE


def _mandrill() -> Source:
    from crmflow.sources.foreign import mandrill

    return mandrill.SOURCE


def _calendly() -> Source:
    from crmflow.sources.foreign import calendly

    return calendly.SOURCE


def _segment() -> Source:
    from crmflow.sources.foreign import segment

    return segment.SOURCE


def _cloudevents() -> Source:
    from crmflow.sources.foreign import cloudevents

    return cloudevents.SOURCE


def _pipedrive() -> Source:
    from crmflow.sources.foreign import pipedrive

    return pipedrive.SOURCE


def _hubspot() -> Source:
    from crmflow.sources.foreign import hubspot

    return hubspot.SOURCE


def _close() -> Source:
    from crmflow.sources.foreign import close

    return close.SOURCE


def _salesforce() -> Source:
    from crmflow.sources.foreign import salesforce

    return salesforce.SOURCE


def _accesslog() -> Source:
    from crmflow.sources.foreign import accesslog

    return accesslog.SOURCE


def _combined() -> Source:
    from crmflow.sources.foreign import combined

    return combined.SOURCE


def _cloudfront() -> Source:
    from crmflow.sources.foreign import cloudfront

    return cloudfront.SOURCE


def _mbox() -> Source:
    from crmflow.sources.foreign import mailbox

    return mailbox.MBOX


def _eml() -> Source:
    from crmflow.sources.foreign import mailbox

    return mailbox.EML


class Format(NamedTuple):
    """A format: what `--format` calls it, what it is called to people, what loads its source.

    Its `layout` is always the same, or it is what a log looks like (None).
    """

    name: str
    title: str
    load: Callable[[], Source]
    layout: Layout | None = None


FORMATS: dict[str, Format] = {
    each.name: each
    for each in (
        Format(OURS, "our own events", _crmflow),
        Format("sendgrid", "SendGrid, Event Webhook", _sendgrid),
        Format("ses", "Amazon SES, event publishing and notifications", _ses),
        Format("mailgun", "Mailgun, webhooks, Events API and routes", _mailgun),
        Format("postmark", "Postmark, webhooks, Bounces API and inbound mail", _postmark),
        Format("resend", "Resend, webhooks", _resend),
        Format("brevo", "Brevo, webhooks and inbound mail", _brevo),
        Format("sparkpost", "SparkPost, webhooks", _sparkpost),
        Format("mandrill", "Mandrill, webhooks", _mandrill),
        Format("calendly", "Calendly, webhooks", _calendly),
        Format("segment", "Segment and RudderStack, calls", _segment),
        Format("cloudevents", "CloudEvents of our own words", _cloudevents),
        Format("pipedrive", "Pipedrive, webhooks of versions 1 and 2", _pipedrive),
        Format("hubspot", "HubSpot, webhooks", _hubspot),
        Format("close", "Close, webhooks", _close),
        Format("salesforce", "Salesforce, Change Data Capture", _salesforce),
        Format("accesslog", "access logs as JSON: nginx, Caddy, Traefik", _accesslog),
        Format("combined", "access logs of Apache and nginx, combined", _combined),
        Format("cloudfront", "Amazon CloudFront, standard logs", _cloudfront),
        Format("mbox", "mailboxes: mails one behind the other", _mbox, "mails"),
        Format(MAIL, "a mail", _eml, "mail"),
    )
}
"""Every format by its name, in the order in which they are asked whether they recognise a log."""


def source(name: str) -> Source:
    """Return the source of a format; raises `UsageError` where there is none of that name."""
    if name not in FORMATS:
        raise UsageError(f"unknown format {name!r}", hint=f"one of {', '.join(FORMATS)}")
    return FORMATS[name].load()


def require_known(options: Options) -> None:
    """Raise `UsageError` where the user names a format or a zone that there is not."""
    if options.format is not None:
        source(options.format)
    if options.assume_tz is not None:
        zone_named(options.assume_tz)


def terms_for(start: bytes, options: Options, known: str | None = None) -> Terms:
    """Return how a log is to be read that begins like this; where nothing recognises it, as our own events.

    Its format may be `known` from where it lies.
    """
    head = look(start)
    name = options.format or known or _recognised(head)
    said = {key: value for key, value in msgspec.structs.asdict(options).items() if key != "format"}
    layout = FORMATS[name].layout if name in FORMATS else None
    return Terms(name, layout or head.layout, _header(head.data), **said)


def _recognised(head: Head) -> str:
    return next((each.name for each in FORMATS.values() if each.load().recognises(head)), OURS)


def pieces_of(log: Log, options: Options = ANY) -> Iterator[tuple[Piece, Terms]]:
    """Yield a whole log in pieces, each with how it is read; raises `SourceError` where reading fails."""
    terms = terms_for(log.head, options)
    for piece in log.cut(terms.layout, 0, 1):
        yield piece, terms


def decode(piece: Piece, terms: Terms, now: datetime, interest: Interest = EVERYTHING) -> Batch:
    """Return what a piece says, as `Source.decode` of its format."""
    return source(terms.format).decode(piece, terms, now, interest)


def look(start: bytes) -> Head:
    """Return what the beginning of a log shows."""
    data = start.removeprefix(BOM).lstrip(_WHITE)
    layout, values = _opening(data)
    bodies = (body for value in values if (body := _first_body(value)) is not None)
    return Head(data, layout, values[0] if values else None, next(bodies, None))


def _opening(data: bytes) -> tuple[Layout, list[object]]:
    """Return how a log is cut, and the first JSON values in it."""
    first, _, others = data.partition(b"\n")
    if first.rstrip() in _OPENINGS:
        return "whole", _first_of_whole(data)
    if first.startswith((b"{", b"[")) and not _elements(first) and (found := _first_of_whole(data)):
        return "whole", found
    is_array = first.startswith(b"[") and not others.strip(_WHITE)
    return "whole" if is_array else "lines", list(_line_values(data))


def _line_values(data: bytes) -> Iterator[object]:
    """Yield what the first lines hold that are JSON."""
    for line in data.split(b"\n", _LINES_LOOKED_AT)[:_LINES_LOOKED_AT]:
        yield from (each.value for each in _elements(line) or ())


def _first_of_whole(data: bytes) -> list[object]:
    """Return the first value or, of an array, its first element; none where they are not finished here."""
    text = data.decode("utf-8", "ignore").encode()
    found = _elements(text)
    if not found and text.startswith(b"["):
        found = _elements(text[1:].lstrip(_WHITE))
    return [each.value for each in found or ()]


def _elements(data: bytes) -> list[Element] | None:
    """Return what a text begins with: the elements of an array or the one value; None where that is no JSON."""
    try:
        return elements_at(read_utf8(data.strip(_WHITE)), 0)[0]
    except LineError:
        return None


def _first_body(value: object) -> Body | None:
    try:
        return next(unwrap(value), None)
    except LineError:
        return None


def _header(data: bytes) -> str:
    """Return the lines that a log opens with, each of which begins with `#`."""
    lines: list[str] = []
    for line in data.split(b"\n"):
        if not line.startswith(b"#"):
            break
        lines.append(line.decode("utf-8", "replace").rstrip("\r"))
    return "\n".join(lines)
