"""Mailboxes: one mail in a file (`eml`), or one behind the other (`mbox`), as mail programs and Takeout leave them.

The order of the questions decides what a mail is: a report of what became of another one, a complaint, a receipt, a
machine's answer, mail to many, a calendar's, one that we sent, an answer, a new conversation. Of real bounces a third
say that a machine wrote them, and a tenth name a mail that they answer: asked in another order they would be replies.
https://www.rfc-editor.org/rfc/rfc3464 https://www.rfc-editor.org/rfc/rfc5965 https://www.rfc-editor.org/rfc/rfc4155
"""

import hashlib
import re
from collections.abc import Collection, Iterator, Sequence
from contextlib import suppress
from datetime import datetime
from email import message_from_bytes
from email.errors import MessageError
from email.header import decode_header, make_header
from email.message import Message
from email.parser import BytesHeaderParser
from email.utils import getaddresses
from itertools import pairwise
from typing import TYPE_CHECKING

import msgspec

from crmflow.core.model import Event, Reject
from crmflow.core.times import FUTURE_TOLERANCE
from crmflow.core.triggers import Interest
from crmflow.sources.batches import NOTHING, Batch, Outcome
from crmflow.sources.bounces import is_dead
from crmflow.sources.letters import Headers, came_in, is_automatic, written_at
from crmflow.sources.lines import rejected
from crmflow.sources.logs import Piece
from crmflow.sources.mail import address, message_id
from crmflow.sources.mailboxes import KEPT_OF_LARGE, starts_of_mails
from crmflow.sources.objects import LineError
from crmflow.sources.terms import Head, Terms

if TYPE_CHECKING:
    Mail = Message[str, str]
else:
    Mail = Message

_HEADER = re.compile(rb"[!-9;-~]+:[ \t\r\n]")
_OF_MAIL = re.compile(rb"^(?:received|message-id|date|from|return-path|mime-version):", re.IGNORECASE | re.MULTILINE)
_EMPTY_LINE = (b"\n\n", b"\n\r\n")
_QUOTED_FROM = re.compile(rb"^>(>*From )", re.MULTILINE)
_ID_IN_TEXT = re.compile(r"^message-id:\s*<([^<>\s]+)>", re.IGNORECASE | re.MULTILINE)
_DAEMONS = ("mailer-daemon@", "postmaster@", "mail-daemon@")
_NO_ASCII = re.compile(rb"[\x80-\xff]")
_TELLING_PARTS = (b"multipart/report", b"message/delivery-status", b"text/calendar")
"""Types of parts that tell what a mail is."""

_read_headers = BytesHeaderParser().parsebytes

_MOST_OF_BODY = 20_000
"""So many characters of a bounce that is no report are looked at."""

_ARRIVED = frozenset({"delivered", "relayed", "expanded"})
_COMPLAINTS = {"abuse": "spam_reported", "fraud": "spam_reported", "virus": "spam_reported", "opt-out": "unsubscribed"}
"""What kind of feedback is what; of others (`not-spam`, `auth-failure`) nothing is told."""


class _Told(msgspec.Struct):
    """What a mail is asked: its headers, when it was written, and how it is to be read."""

    mail: Mail
    headers: Headers
    at: datetime
    terms: Terms


def _events_in(data: bytes, mail: Mail, headers: Headers, terms: Terms) -> Iterator[Event]:
    """Yield what a mail tells, without ids of their own; raises `LineError` for what can't be understood.

    `mail` is without its parts; they are looked for where they may tell something that the headers do not.
    """
    if not {"from", "date", "received"} & headers.keys():
        raise LineError("no mail: it has no From, Date or Received")
    folded = data.lower()
    if _is_from_daemon(headers) or any(kind in folded for kind in _TELLING_PARTS):
        mail = message_from_bytes(data)
    told = _Told(mail, headers, written_at(headers, terms.zone), terms)
    report = _report_type(mail)
    if report == "delivery-status" or _part(mail, "message/delivery-status") is not None:
        yield from _bounces(told)
    elif report == "feedback-report":
        yield from _complaint(told)
    elif report == "disposition-notification":
        return
    elif _is_from_daemon(headers):
        yield from _other_bounces(told)
    elif is_automatic(headers) or not _is_of_calendar(mail):
        yield from _sent(told) if "received" not in headers else _received(told)


def _received(told: _Told) -> Iterator[Event]:
    yield from came_in(told.headers, told.headers.get("reply-to") or told.headers.get("from", ""), told.at)


def _sent(told: _Told) -> Iterator[Event]:
    """Yield that a mail was sent: a copy that no server received."""
    workflow = told.headers.get(f"x-{told.terms.workflow_key}".casefold(), "").strip() or None
    for _, recipient in getaddresses([told.headers.get(name, "") for name in ("to", "cc", "bcc")]):
        if "@" in recipient:
            yield _event(told, "email_sent", recipient, message_id(told.headers.get("message-id")), workflow)


def _bounces(told: _Told) -> Iterator[Event]:
    """Yield what a report says of each recipient."""
    original = _original_id(told.mail)
    part = _part(told.mail, "message/delivery-status")
    for fields in _blocks(part):
        recipient = (fields.get("original-recipient") or fields.get("final-recipient") or "").rpartition(";")[2].strip()
        action = fields.get("action", "failed").strip().casefold()
        if "@" not in recipient or action in _ARRIVED:
            continue
        said = fields.get("diagnostic-code", "")
        is_for_good = action == "failed" and is_dead(fields.get("status", ""), said)
        yield _event(told, "hard_bounced" if is_for_good else "soft_bounced", recipient, original)


def _other_bounces(told: _Told) -> Iterator[Event]:
    """Yield what a bounce says that is no report: whom a library finds in it, and what its words mean."""
    temporary, permanent = _failures(told.mail)
    found = {each.decode("utf-8", "replace"): True for each in permanent}
    found |= {each.decode("utf-8", "replace"): False for each in temporary}
    named = told.headers.get("x-failed-recipients", "")
    found = found or {each: True for _, each in getaddresses([named]) if "@" in each}
    said, original = _body(told.mail)[:_MOST_OF_BODY], _original_id(told.mail)
    for recipient, is_permanent in found.items():
        kind = "hard_bounced" if is_permanent and is_dead("", said) else "soft_bounced"
        yield _event(told, kind, recipient, original)


def _failures(mail: Mail) -> tuple[Collection[bytes], Collection[bytes]]:
    """Return whom a library finds in a bounce: for now, and for good; raises `LineError` where it fails."""
    from flufl.bounce import all_failures  # a tenth of a second, for few mails

    try:
        temporary, permanent = all_failures(message_from_bytes(_NO_ASCII.sub(b"?", mail.as_bytes())))
    except Exception as error:
        raise LineError("a bounce that can't be understood") from error
    return temporary, permanent


def _complaint(told: _Told) -> Iterator[Event]:
    """Yield who complained, as a feedback report tells."""
    [fields, *_] = [*_blocks(_part(told.mail, "message/feedback-report")), {}]
    kind = _COMPLAINTS.get(fields.get("feedback-type", "").strip().casefold())
    original = _part(told.mail, "message/rfc822")
    sent_to = "" if original is None else next((_text(each.get("to", "")) for each in _inner(original)), "")
    who = fields.get("original-rcpt-to") or fields.get("removal-recipient") or sent_to
    if kind is not None and "@" in who:
        yield _event(told, kind, who.rpartition(";")[2], _original_id(told.mail))


def _event(told: _Told, kind: str, name: str, message: str | None, workflow: str | None = None) -> Event:
    return Event(type=kind, at=told.at, record_type="prospect", name=address(name), message=message, workflow=workflow)


def _report_type(mail: Mail) -> str:
    if mail.get_content_type() != "multipart/report":
        return ""
    return _text(mail.get_param("report-type", "")).casefold()


def _is_from_daemon(headers: Headers) -> bool:
    sender = headers.get("from", "").casefold()
    is_null = headers.get("return-path", "").strip() == "<>" or "x-failed-recipients" in headers
    return is_null and any(each in sender for each in _DAEMONS)


def _is_of_calendar(mail: Mail) -> bool:
    return _part(mail, "text/calendar") is not None


def _part(mail: Mail, kind: str) -> Mail | None:
    return next((each for each in mail.walk() if each.get_content_type() == kind), None)


def _inner(part: Mail | None) -> list[Mail]:
    """Return the mails, or blocks of fields, that a part is made of."""
    payload = None if part is None else part.get_payload()
    return [each for each in payload if isinstance(each, Message)] if isinstance(payload, list) else []


def _blocks(part: Mail | None) -> Iterator[dict[str, str]]:
    for each in _inner(part):
        yield {name.casefold(): _text(value) for name, value in each.items()}


def _original_id(mail: Mail) -> str | None:
    """Return the Message-ID of the mail that a report is about: from its copy, else from what is quoted of it."""
    for kind in ("message/rfc822", "text/rfc822-headers", "message/rfc822-headers"):
        part = _part(mail, kind)
        for inner in _inner(part):
            if found := message_id(_text(inner.get("message-id", ""))):
                return found
    quoted = _ID_IN_TEXT.search(_body(mail))
    return quoted[1] if quoted else None


def _body(mail: Mail) -> str:
    """Return the text of a mail, of its first parts if it has many."""
    texts = []
    for part in mail.walk():
        payload = part.get_payload(decode=True) if not part.is_multipart() else None
        if isinstance(payload, bytes):
            texts.append(payload[:_MOST_OF_BODY].decode("utf-8", "replace"))
    return "\n".join(texts)


def _text(value: object) -> str:
    """Return a header as text, whatever it was written in."""
    text = str(value)
    if "=?" in text:
        with suppress(ValueError, LookupError, MessageError):
            text = str(make_header(decode_header(text)))
    return text.encode("utf-8", "replace").decode().replace("\0", "")


def _with_line_feeds(data: bytes) -> bytes:
    return data.replace(b"\r\n", b"\n") if b"\n" in data else data.replace(b"\r", b"\n")


def outcomes_in(data: bytes, line: int, offset: int, terms: Terms, now: datetime) -> list[Outcome]:
    """Return what a mail tells, each with an id and its line; a reject for one that can't be understood."""
    text = _with_line_feeds(data[:KEPT_OF_LARGE])
    mail = _read_headers(text.partition(b"\n\n")[0])
    headers = {name.casefold(): _text(value) for name, value in reversed(mail.items())}
    try:
        events = list(_events_in(text, mail, headers, terms))
    except LineError as fault:
        return [rejected(line, offset, str(fault), data)]
    if any(each.at > now + FUTURE_TOLERANCE for each in events):
        return [rejected(line, offset, "time more than a day in the future", data)]
    own = message_id(headers.get("message-id"))
    base = f"{terms.format}:{own or f'sha256:{hashlib.sha256(data[:KEPT_OF_LARGE].strip()).hexdigest()}'}"
    ids = [base] if len(events) == 1 else [f"{base}#{each.name}" for each in events]
    told = [msgspec.structs.replace(each, id=id_, line=line) for each, id_ in zip(events, ids, strict=True)]
    return [*told] or [NOTHING]


class _Eml:
    """The format of a file that is one mail."""

    def recognises(self, head: Head) -> bool:
        """Tell whether a log begins with headers of a mail."""
        beginning = _with_line_feeds(head.data).partition(b"\n\n")[0]
        return _HEADER.match(beginning) is not None and len(_OF_MAIL.findall(beginning)) > 1

    def decode(self, piece: Piece, terms: Terms, now: datetime, _interest: Interest) -> Batch:
        """Return what the mail says."""
        batch = Batch(piece.end_offset, piece.end_line)
        batch.take_all(outcomes_in(piece.data, piece.line, piece.offset, terms, now))
        return batch

    def decode_again(self, kept: Reject, terms: Terms, now: datetime) -> Sequence[Outcome]:
        """Return what the text of a reject says now."""
        return outcomes_in(kept.text, kept.line, kept.offset, terms, now)


class _Mbox(_Eml):
    """The format of a file of mails."""

    def recognises(self, head: Head) -> bool:
        """Tell whether a log begins with the line that stands before each mail."""
        first, _, rest = head.data.partition(b"\n")
        return first.startswith(b"From ") and _HEADER.match(rest.lstrip(b">")) is not None

    def decode(self, piece: Piece, terms: Terms, now: datetime, _interest: Interest) -> Batch:
        """Return what the mails of a piece say; the last one of a log that does not end in an empty line is left."""
        if piece.oversized is not None:
            return self._large(piece, terms, now)
        batch = Batch(piece.offset, piece.line)
        starts = [0, *starts_of_mails(piece.data), len(piece.data)]
        for start, end in pairwise(starts):
            data = piece.data[start:end]
            if end == len(piece.data) and piece.is_last and not data.endswith(_EMPTY_LINE):
                batch.incomplete = 1
                break
            batch.take_all(outcomes_in(_unquoted(data[:KEPT_OF_LARGE]), batch.end_line, batch.end_offset, terms, now))
            batch.end_offset += len(data)
            batch.end_line += data.count(b"\n")
        return batch

    def _large(self, piece: Piece, terms: Terms, now: datetime) -> Batch:
        """Return what a mail says of which only the beginning is there."""
        if piece.is_last and not piece.data.endswith(_EMPTY_LINE):
            return Batch(piece.offset, piece.line, incomplete=1)
        batch = Batch(piece.end_offset, piece.end_line)
        batch.take_all(outcomes_in(_unquoted(piece.data), piece.line, piece.offset, terms, now))
        return batch


def _unquoted(data: bytes) -> bytes:
    """Return a mail without the line before it, and with what that line made of its own `From `."""
    mail = data[data.find(b"\n") + 1 :]
    return _QUOTED_FROM.sub(rb"\1", mail) if b">From " in mail else mail


EML = _Eml()
MBOX = _Mbox()
