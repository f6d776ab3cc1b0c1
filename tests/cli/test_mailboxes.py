"""Mailboxes as people have them: a Maildir that grows and whose mails move, an mbox with a mail that is too large."""

from pathlib import Path

import pytest

from tests.cli.conftest import Crm

MAIL = """\
Received: from mx.acme.example by in.example.org; Tue, 03 Mar 2026 10:00:05 +0000
From: {sender}
To: team@example.org
Date: Tue, 03 Mar 2026 10:00:00 +0000
Message-ID: <{name}@acme.example>
In-Reply-To: <m-1@example.org>
Subject: Re: Hello

Tell me more.
"""
ANA = "ana@acme.example"


@pytest.fixture
def maildir(crm: Crm) -> Path:
    """Return a Maildir with one unread mail, by Ana."""
    for name in ("cur", "new", "tmp"):
        (crm.directory / "Maildir" / name).mkdir(parents=True)
    deliver(crm.directory / "Maildir", "1700000001.M1P1.host", ANA)
    return crm.directory / "Maildir"


def deliver(maildir: Path, name: str, sender: str) -> None:
    """Put a mail into a Maildir."""
    (maildir / "new" / name).write_text(MAIL.format(sender=sender, name=name))


def test_of_a_maildir_only_what_is_new_is_read(crm: Crm, maildir: Path) -> None:
    """Mails are one source together; those that were read are not read again, wherever they lie by then."""
    summary = crm.json("ingest", "Maildir")
    [source] = summary["sources"]
    size = (maildir / "new/1700000001.M1P1.host").stat().st_size
    assert source == {"path": "Maildir", "from_offset": 0, "to_offset": size, "lines": 1, "format": "eml"}
    assert crm.left() == {"p-1": ("2026-03-03T10:00:00Z", "replied")}
    (maildir / "new/1700000001.M1P1.host").rename(maildir / "cur/1700000001.M1P1.host:2,S")
    assert crm.json("ingest", "Maildir") == {
        **summary,
        "run": None,
        "lines": 0,
        "considered": 0,
        "exits": 0,
        "sources": [],
    }
    deliver(maildir, "1700000002.M2P1.host", "ben@acme.example")
    deliver(maildir, "1700000003.M3P1.host", "nobody@globex.example")
    summary = crm.json("ingest", f"{maildir}/")
    assert (summary["lines"], summary["considered"], summary["unmatched"]) == (2, 1, 1)
    assert crm.left().keys() == {"p-1", "p-2"}
    assert crm.json("ingest", "--from-start", "Maildir")["lines"] == 3


def test_a_mail_that_moved_is_the_evidence_still(crm: Crm, maildir: Path) -> None:
    """Its flags changed since it was read: `explain` reads it where it lies, and taking the run back does, too."""
    run = crm.json("ingest", "Maildir")["run"]
    (maildir / "new/1700000001.M1P1.host").rename(maildir / "cur/1700000001.M1P1.host:2,RS")
    told = crm("explain", "prospect:p-1", "--workflow", "welcome").stdout
    assert "(eml:1700000001.M1P1.host@acme.example)" in told
    assert "gone" not in crm("undo", str(run)).stderr
    assert crm.left() == {}


def test_a_mail_that_can_t_be_read_does_not_stop_the_others(crm: Crm, maildir: Path) -> None:
    """It is named, the others are taken in, and the status says that something is left."""
    (maildir / "new/1600000000.M0P1.host").write_bytes(b"SQLite format 3\0")
    deliver(maildir, "1700000002.M2P1.host", "ben@acme.example")
    ended = crm("ingest", "Maildir", status=3)
    assert "Maildir/new/1600000000.M0P1.host" in ended.stderr
    assert crm.left().keys() == {"p-1", "p-2"}


def test_a_large_mail_is_understood_by_its_beginning(crm: Crm) -> None:
    """A mail of 40 MB in an mbox is a reply like any other, and the mails behind it have the right lines."""
    large = MAIL.format(sender=ANA, name="large") + "attachment\n" * 3_600_000 + "\n"
    small = MAIL.format(sender="ben@acme.example", name="small") + "\n"
    crm.write("inbox.mbox", "".join(f"From x Tue Mar  3 10:00:00 2026\n{each}" for each in (large, small)))
    assert crm.json("ingest", "inbox.mbox")["exits"] == 3
    exits = {each["record"]: each["exit"]["event"] for each in crm.json("enrollment", "list", "--state", "disenrolled")}
    assert exits["p-2"]["line"] == large.count("\n") + 2
    assert crm.json("ingest", "inbox.mbox")["lines"] == 0


SENT = """\
From: team@example.org
To: {to}
Date: Mon, 02 Mar 2026 10:00:00 +0000
Message-ID: <m-1@example.org>
X-Workflow: welcome
Subject: Hello
"""
STRANGER = "assistant@acme.example"


def _mails(crm: Crm, name: str, *mails: str) -> str:
    """Write mails into an mbox."""
    return crm.write(name, "".join(f"From x Tue Mar  3 10:00:00 2026\n{each}\n" for each in mails))


def test_a_reply_from_another_address_is_theirs_to_whom_the_mail_went(crm: Crm) -> None:
    """A colleague answers for Ana: she has replied. `explain` says by which mail; what is taken back can be redone."""
    reply = MAIL.format(sender=STRANGER, name="r-1").replace(
        "In-Reply-To: <m-1@example.org>", "References: <m-1@example.org> <x>"
    )
    summary = crm.json("ingest", _mails(crm, "both.mbox", SENT.format(to=ANA), reply))
    assert (summary["considered"], summary["unmatched"], summary["exits"]) == (2, 0, 2)
    assert crm.left() == {"p-1": ("2026-03-03T10:00:00Z", "replied")}
    assert (
        "both.mbox:9: replied (mbox:r-1@acme.example)" in crm("explain", "prospect:p-1", "--workflow", "welcome").stdout
    )
    crm("undo", str(summary["run"]))
    assert crm.left() == {}
    crm("undo", str(summary["run"] + 1))
    assert crm.left() == {"p-1": ("2026-03-03T10:00:00Z", "replied")}
    crm("retract", "mbox:r-1@acme.example", "--because", "a test of ours")
    assert crm.left() == {}


def test_a_reply_to_a_mail_that_nobody_knows_is_its_sender_s(crm: Crm) -> None:
    """A stranger's reply is unmatched where the mail is unknown, is known only later, or went to several people."""
    reply = MAIL.format(sender=STRANGER, name="r-1")
    assert crm.json("ingest", _mails(crm, "reply.mbox", reply))["unmatched"] == 1
    two = SENT.format(to=f"{ANA}, ben@acme.example")
    assert crm.json("ingest", _mails(crm, "sent.mbox", two))["considered"] == 2
    assert crm.json("ingest", "--from-start", "reply.mbox")["unmatched"] == 1
    assert crm.left() == {}
    of_ana = MAIL.format(sender=ANA, name="r-2")
    assert crm.json("ingest", _mails(crm, "ana.mbox", of_ana))["exits"] == 2


def test_matching_elsewhere_finds_whose_reply_it_is(crm: Crm) -> None:
    """What only the store can tell is left to `apply`."""
    mails = _mails(crm, "both.mbox", SENT.format(to=ANA), MAIL.format(sender=STRANGER, name="r-1"))
    crm("snapshot", "export", "now.snapshot")
    crm("match", "--snapshot", "now.snapshot", mails, "--out", "found.exits")
    summary = crm.json("apply", "found.exits")
    assert (summary["considered"], summary["unmatched"], summary["exits"]) == (2, 0, 2)
    assert crm.left() == {"p-1": ("2026-03-03T10:00:00Z", "replied")}
