"""Logs of other formats: recognising them, reading them once, converting them, and whose click it was."""

import json
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.cli.conftest import Crm

FIREFOX = "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:128.0) Gecko/20100101 Firefox/128.0"
TEN = 1772532000  # 2026-03-03T10:00:00Z
CLICK = {
    "event": "click",
    "email": "ana@acme.example",
    "timestamp": TEN,
    "sg_event_id": "c-1",
    "sg_message_id": "m-1.filterdrecv",
    "workflow": "welcome",
    "useragent": FIREFOX,
}
DELIVERED = {**CLICK, "event": "delivered", "timestamp": TEN - 60, "sg_event_id": "d-1"}
NAMELESS = {key: value for key, value in CLICK.items() if key != "workflow"}
AT = "2026-03-03T10:00:00Z"


def _posted(crm: "Crm", name: str, *bodies: Any) -> str:  # noqa: ANN401 - any JSON
    return crm.write(name, json.dumps(list(bodies), indent=1))


def test_a_provider_s_log_is_recognised_and_read_once(crm: "Crm") -> None:
    """What it was taken for is said, the summary names it, and a second run finds nothing new and says nothing."""
    posted = _posted(crm, "posted.json", CLICK)
    ran = crm("ingest", posted, "--dry-run")
    assert ran.stdout == "1 lines, 1 considered, 1 exits\n"
    assert ran.stderr == "posted.json: read as SendGrid, Event Webhook\ndry run: nothing was changed\n"
    said = crm.json("ingest", posted)
    size = (crm.directory / posted).stat().st_size
    assert said["sources"] == [{"path": posted, "from_offset": 0, "to_offset": size, "lines": 1, "format": "sendgrid"}]
    assert crm.left() == {"p-1": (AT, "link_clicked")}
    again = crm("ingest", posted)
    assert (again.stdout, again.stderr) == ("0 lines, 0 exits\n", "")
    [left] = crm.json("enrollment", "list", "--workflow", "welcome", "--record", "p-1")
    assert left["exit"]["event"] == {
        "id": "sendgrid:c-1",
        "type": "link_clicked",
        "time": AT,
        "source": posted,
        "line": 2,
    }


def test_several_formats_come_in_one_run(crm: "Crm") -> None:
    """Each log is looked at by itself."""
    ours = crm.log("events.jsonl", {"type": "replied", "time": AT, "prospect": "p-2"})
    said = crm.json("ingest", _posted(crm, "posted.json", CLICK), ours)
    assert [each.get("format") for each in said["sources"]] == ["sendgrid", None]
    assert sorted(crm.left()) == ["p-1", "p-2"]


def test_a_body_behind_those_that_were_read_is_read(crm: "Crm") -> None:
    """A file of bodies that grows goes on where it was; one body that is not finished is left."""
    first, second = (json.dumps(each, indent=1) + "\n" for each in (CLICK, {**CLICK, "email": "ben@acme.example"}))
    assert crm.json("ingest", crm.write("posted.json", first))["exits"] == 1
    assert crm.json("ingest", crm.write("posted.json", first + second[:50]))["incomplete"] == 1
    said = crm.json("ingest", crm.write("posted.json", first + second))
    assert (said["lines"], said["exits"], said["sources"][0]["from_offset"]) == (1, 1, len(first))


def test_each_thing_told_counts(crm: "Crm") -> None:
    """The sum holds for arrays, for what tells nothing, and where a part is not understood."""
    posted = _posted(
        crm,
        "posted.json",
        CLICK,
        {**CLICK, "event": "group_resubscribe"},
        {**CLICK, "event": "forwarded"},
        {**CLICK, "email": "ana"},
        {**CLICK, "email": "nobody@acme.example"},
    )
    said = crm.json("ingest", posted, status=3)
    counts = {name: said[name] for name in ("lines", "rejected", "unknown_types", "without_effect", "unmatched")}
    assert counts == {
        "lines": 5,
        "rejected": 1,
        "unknown_types": {"sendgrid:forwarded": 1},
        "without_effect": 1,
        "unmatched": 1,
    }
    [reject] = crm.json("rejects", "list")
    assert json.loads(reject["text"]) == {**CLICK, "email": "ana"}


def test_rejects_are_read_again_as_they_were_read(crm: "Crm") -> None:
    """By the format and the zone of the run that met them."""
    mail = {"timestamp": "2026-03-03T10:00:00", "messageId": "m", "destination": ["ben@acme.example"]}
    bounce = {"bounceType": "Permanent", "bouncedRecipients": [{"emailAddress": "ben@acme.example", "action": 5.5}]}
    body = json.dumps({"eventType": "Bounce", "mail": mail, "bounce": bounce})
    crm("ingest", "--assume-tz", "Europe/Berlin", crm.write("ses.jsonl", body + "\n"), status=3)
    with closing(sqlite3.connect(crm.store)) as connection, connection:
        connection.execute("UPDATE reject SET text = ?", [body.replace("5.5", '"failed"').encode()])
    assert crm.json("rejects", "retry")["exits"] == 1
    assert crm.left() == {"p-2": ("2026-03-03T09:00:00Z", "hard_bounced")}


@pytest.mark.parametrize("is_click_first", [True, False])
def test_a_click_has_the_workflow_of_its_mail(crm: "Crm", *, is_click_first: bool) -> None:
    """Whichever is read first, and in a run of its own; the exit is by the click's log and line."""
    logs = [_posted(crm, "clicks.json", NAMELESS), _posted(crm, "deliveries.json", DELIVERED)]
    for log in logs if is_click_first else reversed(logs):
        said = crm.json("ingest", log)
        assert (said["considered"], said["without_effect"]) == (1, 0)
    [left] = crm.json("enrollment", "list", "--workflow", "welcome", "--record", "p-1")
    assert (left["exit"]["event"]["source"], left["exit"]["event"]["line"]) == ("clicks.json", 2)
    assert left["exit"]["run"] == said["run"]


@pytest.mark.parametrize("undone", ["clicks.json", "deliveries.json"])
def test_what_a_click_rests_on_can_be_taken_back(crm: "Crm", undone: str) -> None:
    """Without the click, or what told of which workflow its mail is, it ends nothing; told by another log it does."""
    runs = {
        name: str(crm.json("ingest", _posted(crm, name, body))["run"])
        for name, body in (("clicks.json", NAMELESS), ("deliveries.json", DELIVERED))
    }
    assert crm.left() == {"p-1": (AT, "link_clicked")}
    crm("undo", runs[undone])
    assert crm.left() == {}
    again = {
        "clicks.json": {**NAMELESS, "ip": "192.0.2.1"},
        "deliveries.json": {**DELIVERED, "event": "processed", "sg_event_id": "s-1"},
    }
    crm("ingest", _posted(crm, "more.json", again[undone]))
    assert crm.left() == {"p-1": (AT, "link_clicked")}


def test_a_click_is_told_of_though_nothing_names_its_workflow(crm: "Crm") -> None:
    """It is considered, ends nothing, and `explain` says why."""
    assert crm.json("ingest", _posted(crm, "clicks.json", NAMELESS))["considered"] == 1
    assert crm.left() == {}
    assert "nothing says of which workflow its email is" in crm("explain", "p-1", "--workflow", "welcome").stdout


def test_clicks_by_machines_end_nothing_unless_a_trigger_says_so(crm: "Crm") -> None:
    """They are counted; a rule that counts them takes them when they are read again."""
    posted = _posted(crm, "posted.json", {**CLICK, "useragent": "Barracuda Sentinel (EE)"})
    assert crm("ingest", posted).stdout == "1 lines, 1 without effect, 1 suspect, 0 exits\n"
    assert crm.left() == {}
    text = (crm.directory / "welcome.yaml").read_text()
    assert "- trigger: link_clicked\n" in text
    crm.write("welcome.yaml", text.replace("- trigger: link_clicked\n", "- {trigger: link_clicked, suspect: count}\n"))
    crm("workflow", "apply", "welcome.yaml")
    said = crm.json("ingest", "--from-start", posted)
    assert (said["considered"], said["suspect"], said["exits"]) == (1, 1, 1)


def test_a_click_of_one_of_several_decides_nothing(crm: "Crm") -> None:
    """It is counted as ambiguous."""
    mail = {"messageId": "m", "destination": ["ana@acme.example", "ben@acme.example"]}
    crm.log("ses.jsonl", {"eventType": "Click", "mail": mail, "click": {"timestamp": AT, "userAgent": FIREFOX}})
    assert crm("ingest", "ses.jsonl").stdout == "1 lines, 1 without effect, 1 ambiguous, 0 exits\n"


def test_another_name_for_the_workflow(crm: "Crm") -> None:
    """`--workflow-key` says under which name it comes back."""
    posted = _posted(crm, "posted.json", {**NAMELESS, "campaign": "welcome"})
    assert crm.json("ingest", posted, "--workflow-key", "campaign")["exits"] == 1


def test_what_is_wrong_usage(crm: "Crm") -> None:
    """A format or a zone that there is not; nothing is read."""
    posted = _posted(crm, "posted.json", CLICK)
    for command in ("ingest", "convert"):
        assert "unknown format 'xml'" in crm.refused(command, posted, "--format", "xml", status=2)
        assert "no such time zone: 'Mars'" in crm.refused(command, posted, "--assume-tz", "Mars", status=2)


def test_the_formats_are_listed(crm: "Crm") -> None:
    """By name and title, without a log."""
    assert crm("ingest", "--formats").stdout.splitlines()[:2] == [
        "crmflow\tour own events",
        "sendgrid\tSendGrid, Event Webhook",
    ]


def test_convert_needs_no_store(bare: "Crm") -> None:
    """It prints our own events, one a line or as one document, and says what it can't understand with status 3."""
    posted = _posted(bare, "posted.json", CLICK, {**CLICK, "email": "ana"})
    ran = bare("convert", posted, status=3)
    line = {"id": "sendgrid:c-1", "type": "link_clicked", "time": AT, "prospect": "ana@acme.example"}
    line |= {"workflow": "welcome", "message": "m-1"}
    assert [json.loads(each) for each in ran.stdout.splitlines()] == [line]
    assert ran.stderr == (
        "posted.json: read as SendGrid, Event Webhook\nwarning: posted.json:11: no email address: 'ana'\n"
    )
    assert bare.json("convert", posted, status=3) == [line]
    assert not bare.store.exists()
    assert "none of the logs could be read" in bare("convert", "missing.json", status=1).stderr
