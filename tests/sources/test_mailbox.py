"""Mail as it lies in mailboxes: what a mail is, whom it is about, and that no mail is a fault."""

from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crmflow.core.model import Event, Reject
from crmflow.core.triggers import EVERYTHING
from crmflow.sources import formats
from crmflow.sources.batches import Batch, joined
from crmflow.sources.bounces import is_dead
from crmflow.sources.foreign.mailbox import outcomes_in
from crmflow.sources.logs import open_log
from crmflow.sources.terms import Options, Terms

NOW = datetime(2026, 6, 1, tzinfo=UTC)
TERMS = Terms("eml", "whole")
AT = datetime(2026, 3, 3, 10, tzinfo=UTC)

CAME = """\
Return-Path: <{sender}>
Received: from mx.example by in.acme.example; Tue, 03 Mar 2026 10:00:05 +0000
From: Ana <{sender}>
To: team@acme.example
Date: Tue, 03 Mar 2026 11:00:00 +0100
Message-ID: <a-1@globex.example>
Subject: {subject}
{more}
{body}
"""


def came(subject: str = "Hello", more: str = "", body: str = "Hi", sender: str = "ana@globex.example") -> bytes:
    """Return a mail that came in."""
    return CAME.format(subject=subject, more=more + "\n" if more else "", body=body, sender=sender).encode()


def told(mail: bytes, terms: Terms = TERMS) -> list[tuple[str, str]]:
    """Return what a mail tells: types of events and whom they are about."""
    return [(each.type, each.name) for each in outcomes_in(mail, 1, 0, terms, NOW) if isinstance(each, Event)]


def report(*blocks: str, more: str = "Auto-Submitted: auto-replied", body: str = "It could not be delivered.") -> bytes:
    """Return a delivery status notification about a mail `m-1`, as RFC 3464 has them."""
    fields = "\n\n".join(["Reporting-MTA: dns; mx.globex.example", *blocks])
    return f"""\
Return-Path: <>
Received: from mx.example by in.acme.example; Tue, 03 Mar 2026 10:00:05 +0000
From: MAILER-DAEMON@globex.example (Mail Delivery System)
To: news@acme.example
Date: Tue, 03 Mar 2026 10:00:00 +0000
Message-ID: <d-1@globex.example>
In-Reply-To: <m-1@acme.example>
Subject: Undelivered Mail Returned to Sender
{more}
MIME-Version: 1.0
Content-Type: multipart/report; report-type=delivery-status; boundary="B"

--B
Content-Type: text/plain

{body}

--B
Content-Type: message/delivery-status

{fields}

--B
Content-Type: text/rfc822-headers

From: news@acme.example
Message-ID: <m-1@acme.example>

--B--
""".encode()


def failed(recipient: str, status: str, said: str, action: str = "failed") -> str:
    """Return the block of a report about one recipient."""
    return f"Final-Recipient: rfc822; {recipient}\nAction: {action}\nStatus: {status}\nDiagnostic-Code: smtp; {said}"


SAID = {
    "Postfix": ("5.1.1", "550 5.1.1 <ben@globex.example>: Recipient address rejected: User unknown in local table"),
    "Exchange": ("5.1.10", "550 5.1.10 RESOLVER.ADR.RecipientNotFound; Recipient not found by SMTP address lookup"),
    "Gmail": ("5.1.1", "550-5.1.1 The email account that you tried to reach does not exist."),
    "Exim, as a report": ("5.0.0", "550 Unrouteable address"),
    "Sendmail": ("5.1.1", "550 5.1.1 <ben@globex.example>... User unknown"),
    "Yahoo": ("5.0.0", "554 delivery error: dd This user doesn't exist (ben@globex.example)"),
    "Domino": ("5.1.1", "550 No such user ben"),
    "Courier": ("5.1.2", "Domain not found"),
}
QMAIL = """\
Hi. This is the qmail-send program at globex.example.
I'm afraid I wasn't able to deliver your message to the following addresses.
This is a permanent error; I've given up. Sorry it didn't work out.

<ben@globex.example>:
Sorry, no mailbox here by that name. (#5.1.1)

--- Below this line is a copy of the message.

Message-ID: <m-1@acme.example>
"""
EXIM = """\
This message was created automatically by mail delivery software.

A message that you sent could not be delivered to one or more of its
recipients. This is a permanent error. The following address(es) failed:

  ben@globex.example
    no such user here: user unknown

Message-ID: <m-1@acme.example>
"""
SERVERS = {name: report(failed("ben@globex.example", *said)) for name, said in SAID.items()} | {
    "qmail": came("failure notice", "", QMAIL, "").replace(b"Ana <>", b"MAILER-DAEMON@globex.example"),
    "Exim": came(
        "Mail delivery failed: returning message to sender",
        "X-Failed-Recipients: ben@globex.example\nAuto-Submitted: auto-replied",
        EXIM,
        "",
    ).replace(b"Ana <>", b"Mail Delivery System <Mailer-Daemon@globex.example>"),
}
"""What ten kinds of mail servers write when nobody is there."""


@pytest.mark.parametrize("server", SERVERS)
def test_a_dead_address_is_a_hard_bounce(server: str) -> None:
    """Whoever reports it, though the report says that a machine wrote it, and what it answers."""
    [event] = outcomes_in(SERVERS[server], 1, 0, TERMS, NOW)
    assert isinstance(event, Event)
    assert (event.type, event.name, event.message) == ("hard_bounced", "ben@globex.example", "m-1@acme.example")


@pytest.mark.parametrize(
    ("status", "said"),
    [
        ("4.2.2", "452 4.2.2 mailbox full"),
        ("5.2.2", "552 5.2.2 over quota"),
        ("5.7.1", "550 5.7.1 message rejected as spam by policy"),
        ("5.0.0", "554 transaction failed"),
        ("5.1.1", "550 5.1.1 greylisted, try again later"),
        ("5.4.1", "550 5.4.1 Recipient address rejected: Access denied"),
    ],
)
def test_what_does_not_lie_in_the_address_is_no_hard_bounce(status: str, said: str) -> None:
    """A full mailbox, policy, another try, or a status that says nothing."""
    assert told(report(failed("ben@globex.example", status, said))) == [("soft_bounced", "ben@globex.example")]
    assert not is_dead(status, said)


def test_each_recipient_of_a_report_is_judged_alone() -> None:
    """One that is gone, one that is full, one that is late, and one whom it reached."""
    mail = report(
        failed("a@globex.example", "5.1.1", "550 5.1.1 user unknown"),
        failed("b@globex.example", "4.2.2", "452 4.2.2 mailbox full"),
        failed("c@globex.example", "4.4.1", "421 timeout", "delayed"),
        failed("d@globex.example", "2.0.0", "250 ok", "delivered"),
    )
    kinds = ["hard_bounced", "soft_bounced", "soft_bounced"]
    assert told(mail) == [(kind, f"{name}@globex.example") for kind, name in zip(kinds, "abc", strict=True)]


AUTOMATIC = {
    "RFC 3834": came("Re: Hello", "Auto-Submitted: auto-replied\nIn-Reply-To: <m-1@acme.example>"),
    "with a comment": came("Re: Hello", "Auto-Submitted: auto-generated (vacation)"),
    "X-Autoreply": came("Re: Hello", "X-Autoreply: yes"),
    "X-Autorespond": came("Re: Hello", "X-Autorespond: Hello"),
    "Precedence": came("Re: Hello", "Precedence: auto_reply"),
    "no sender": came("Re: Hello", "In-Reply-To: <m-1@acme.example>").replace(b"<ana@globex.example>", b"<>", 1),
    "Exchange": came("Automatic reply: Hello", "X-Auto-Response-Suppress: All"),
    "English": came("Out of Office: Hello"),
    "German": came("Automatische Antwort: Hallo"),
    "German, absent": came("Abwesenheitsnotiz: Hallo"),
    "French": came("=?utf-8?q?R=C3=A9ponse_automatique_=3A_Bonjour?="),
    "Spanish": came("=?utf-8?q?Respuesta_autom=C3=A1tica=3A_Hola?="),
    "Italian": came("Risposta automatica: Ciao"),
    "Portuguese": came("=?iso-8859-1?q?Resposta_autom=E1tica=3A_Ola?="),
    "Dutch": came("Automatisch antwoord: Hallo"),
    "Swedish": came("Autosvar: Hej"),
    "Norwegian": came("=?utf-8?b?RnJhdsOmcjogSGVp?="),
    "Finnish": came("Automaattinen vastaus: Hei"),
    "Polish": came("=?utf-8?q?Automatyczna_odpowied=C5=BA=3A_Witam?="),
    "Russian": came("=?utf-8?b?0JDQstGC0L7QvtGC0LLQtdGCOiDQn9GA0LjQstC10YI=?="),
    "Japanese": came("=?utf-8?b?6Ieq5YuV5b+c562U77yaIOODhuOCueODiA==?="),
}
"""How twenty kinds of programs answer for people, in ten languages and more."""


@pytest.mark.parametrize("kind", AUTOMATIC)
def test_a_machine_s_answer_is_no_reply(kind: str) -> None:
    """Also when it comes as a new thread."""
    assert told(AUTOMATIC[kind]) == [("auto_replied", "ana@globex.example")]


@pytest.mark.parametrize(
    ("mail", "expected"),
    [
        (came("Re: Hello", "In-Reply-To: <m-1@acme.example>"), "replied"),
        (came("Re: Hello", "References: <[abc]@x> <m-1@acme.example>"), "replied"),
        (came("Re: Hello", "In-Reply-To: <m-1@acme.example>\nX-Auto-Response-Suppress: All"), "replied"),
        (came("Re: Hello", "In-Reply-To: <m-1@acme.example>\nAuto-Submitted: no"), "replied"),
        (came("A question"), "conversation_started"),
        (came("A question").replace(b"\n", b"\r\n"), "conversation_started"),
        (came("A question").replace(b"\n", b"\r"), "conversation_started"),
        (came("A question").replace(b"<a-1@globex.example>", b"<[a]@globex.example>"), "conversation_started"),
    ],
)
def test_what_people_write_is_a_reply_or_a_conversation(mail: bytes, expected: str) -> None:
    """Whatever ends its lines, and whatever else its headers say."""
    assert told(mail) == [(expected, "ana@globex.example")]


@pytest.mark.parametrize(
    "mail",
    [
        came("News", "List-Id: <news.globex.example>"),
        came("News", "Precedence: bulk"),
        report().replace(b"delivery-status", b"disposition-notification"),
        came("Accepted: Call", "Content-Type: text/calendar; method=REPLY", "BEGIN:VCALENDAR"),
    ],
)
def test_what_nobody_wrote_to_us_tells_nothing(mail: bytes) -> None:
    """Mail to many, receipts, answers of calendars."""
    assert told(mail) == []


@pytest.mark.parametrize(
    ("kind", "expected"), [("abuse", "spam_reported"), ("opt-out", "unsubscribed"), ("not-spam", "")]
)
def test_feedback_is_what_it_says(kind: str, expected: str) -> None:
    """A complaint, somebody who leaves, or nothing; the mail is the one that it is about."""
    mail = report().replace(b"delivery-status", b"feedback-report")
    mail = mail.replace(
        b"Reporting-MTA: dns; mx.globex.example",
        f"Feedback-Type: {kind}\nVersion: 1\nOriginal-Rcpt-To: ben@globex.example".encode(),
    )
    assert told(mail) == ([(expected, "ben@globex.example")] if expected else [])


def test_a_copy_of_what_we_sent_names_its_workflow() -> None:
    """No server received it; each recipient was sent it, and the header says of which workflow it is."""
    mail = came("Hello", "X-Flow: welcome").replace(b"Received: ", b"X-Was: ").replace(b"team@", b"ben@b.example, cy@")
    events = outcomes_in(mail, 1, 0, Terms("eml", "whole", workflow_key="flow"), NOW)
    assert [(each.type, each.name, each.workflow, each.message) for each in events if isinstance(each, Event)] == [
        ("email_sent", name, "welcome", "a-1@globex.example") for name in ("ben@b.example", "cy@acme.example")
    ]


def test_time_is_that_of_the_mail() -> None:
    """Its date, unless that is absurd or missing: then that of the server that received it."""
    for date in (b"Date: Tue, 03 Mar 2026 11:00:00 +0100", b"Date: Tue, 03 Mar 2026 10:00:00 -0000"):
        [event] = outcomes_in(came().replace(b"Date: Tue, 03 Mar 2026 11:00:00 +0100", date), 1, 0, TERMS, NOW)
        assert isinstance(event, Event)
        assert event.at == AT
    for date in (b"Date: Tue, 03 Mar 2037 11:00:00 +0100", b"Date: soon", b"X: y"):
        [event] = outcomes_in(came().replace(b"Date: Tue, 03 Mar 2026 11:00:00 +0100", date), 1, 0, TERMS, NOW)
        assert isinstance(event, Event)
        assert event.at == datetime(2026, 3, 3, 10, 0, 5, tzinfo=UTC)


@given(st.sampled_from([*SERVERS.values(), *AUTOMATIC.values()]), st.integers(0, 1_500), st.binary(max_size=20))
def test_no_mail_is_a_fault(mail: bytes, cut: int, noise: bytes) -> None:
    """Wherever it is cut off, and whatever stands in it then."""
    for each in outcomes_in(mail[:cut] + noise + mail[cut + 20 :], 1, 0, TERMS, NOW) + outcomes_in(
        mail[:cut], 1, 0, TERMS, NOW
    ):
        assert not isinstance(each, Event) or (each.id and each.name)


def _mbox(*mails: bytes) -> bytes:
    return b"".join(b"From MAILER-DAEMON Tue Mar  3 10:00:00 2026\n" + each.strip() + b"\n\n" for each in mails)


def _read(path: Path, offset: int, size: int) -> Batch:
    with open_log(str(path)) as log:
        terms = formats.terms_for(log.head, Options())
        assert (terms.format, terms.layout) == ("mbox", "mails")
        pieces = list(log.cut(terms.layout, offset, 1, size))
        return joined([formats.decode(each, terms, NOW, EVERYTHING) for each in pieces])


@pytest.mark.parametrize("size", [1, 100, 700, 10**6])
def test_an_mbox_is_read_mail_by_mail(tmp_path: Path, size: int) -> None:
    """In pieces of any size, from where it was read before; lines that begin with From are none of its own."""
    quoted = came("Re: Hello", "In-Reply-To: <m-1@acme.example>", ">From the start\n\nFrom: nobody").replace(
        b"a-1@", b"a-2@"
    )
    mails = [came(), quoted, *SERVERS.values()]
    path = tmp_path / "inbox"
    path.write_bytes(_mbox(*mails))
    batch = _read(path, 0, size)
    assert [each.type for each in batch.events] == ["conversation_started", "replied", *["hard_bounced"] * len(SERVERS)]
    assert batch.events[1].line == 1 + _mbox(mails[0]).count(b"\n")
    assert (batch.end_offset, batch.incomplete) == (path.stat().st_size, 0)
    later = _read(path, len(_mbox(*mails[:2])), size)
    assert len(later.events) == len(SERVERS)


def test_a_mail_that_is_being_written_is_left(tmp_path: Path) -> None:
    """Until an empty line follows it."""
    path = tmp_path / "inbox"
    whole = _mbox(came(), came())
    path.write_bytes(whole[:-1])
    batch = _read(path, 0, 10**6)
    assert (len(batch.events), batch.incomplete, batch.end_offset) == (1, 1, len(whole) // 2)


def test_what_is_no_mail_is_a_reject() -> None:
    """It says so."""
    [fault] = outcomes_in(b"Hello\n\nworld\n", 3, 7, TERMS, NOW)
    assert isinstance(fault, Reject)
    assert (fault.line, fault.offset, fault.reason) == (3, 7, "no mail: it has no From, Date or Received")
