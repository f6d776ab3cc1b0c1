"""What the sources of mail providers share, and which clicks a machine likely made."""

import subprocess
import sys

import pytest

from crmflow.sources.mail import address, bounce, message_id, workflow_in
from crmflow.sources.objects import LineError
from crmflow.sources.suspicion import is_machine
from crmflow.sources.terms import Terms

FIREFOX = "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:128.0) Gecko/20100101 Firefox/128.0"


@pytest.mark.parametrize(
    "text", ["ana@acme.example", " ana@acme.example ", "Ana <ana@acme.example>", '"@" <ana@acme.example>']
)
def test_a_recipient_may_be_written_with_a_name(text: str) -> None:
    """What counts is the address."""
    assert address(text) == "ana@acme.example"


@pytest.mark.parametrize("text", ["", "ana", "@", "ana@", "<>", "a b@acme.example", "Ana <ana>"])
def test_what_is_no_address_is_refused(text: str) -> None:
    """With the text."""
    with pytest.raises(LineError, match="no email address"):
        address(text)


def test_a_message_id_has_no_brackets_and_no_spaces() -> None:
    """Providers write it with and without."""
    assert message_id(" <m-1@acme.example> ") == message_id("m-1@acme.example") == "m-1@acme.example"
    assert message_id("<[a]@b>") == "[a]@b"
    assert message_id(None) is message_id("") is message_id("<>") is None


def test_a_failure_that_may_pass_is_known_by_its_code() -> None:
    """By an enhanced one wherever it stands, by a plain one at the beginning; other numbers tell nothing."""
    for said in ("4.2.2", "550 mailbox full (4.2.2)", "452 no space", "smtp; 450 greylisted", " 421"):
        assert bounce(None, "5.1.1", said, is_hard=True) == "soft_bounced"
    for other in ("5.1.1", "550 5.1.1 unknown", "498", "by 4.4.4.4", "exim 4.94.2", "5.4.2.2", "room 452", "", None):
        assert bounce(other, is_hard=True) == "hard_bounced"
        assert bounce(other, is_hard=False) == "soft_bounced"


@pytest.mark.parametrize(
    "carrier",
    [
        {"workflow": "w"},
        {"workflow": ["w", "x"]},
        [{"name": "step", "value": "a"}, {"name": "workflow", "value": "w"}],
        ["news", "workflow:w"],
        ["workflow = w"],
        "workflow:w",
    ],
)
def test_a_workflow_comes_back_in_many_forms(carrier: object) -> None:
    """As a key, as a list under one, as name and value, as a tag; under another name if that is asked for."""
    assert workflow_in(Terms(), None, carrier, {"workflow": "later"}) == "w"
    assert workflow_in(Terms(workflow_key="flow"), carrier) is None
    assert workflow_in(Terms(workflow_key="flow"), {"flow": 7}) == "7"


@pytest.mark.parametrize(
    "carrier", [None, {}, [], "", {"workflow": None}, {"workflow": []}, ["workflow", 5, "workflows:w"]]
)
def test_no_workflow_is_found_where_there_is_none(carrier: object) -> None:
    """A tag that only looks alike is none."""
    assert workflow_in(Terms(), carrier) is None


@pytest.mark.parametrize(
    "agent",
    [
        "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
        "curl/8.5.0",
        "Mozilla/5.0 (Windows NT 5.1; rv:11.0) Gecko Firefox/11.0 (via ggpht.com GoogleImageProxy)",
        "Barracuda Sentinel (EE)",
        "Microsoft Office Existence Discovery",
        "Go-http-client/2.0",
        "",
        "-",
    ],
)
def test_programs_are_machines(agent: str) -> None:
    """Crawlers, scanners, libraries, and who does not say who it is."""
    assert is_machine(agent)


def test_people_and_what_nobody_noted_are_no_machines() -> None:
    """Nor is a phone whose maker is called like one; whoever only looks whether a page is there is."""
    assert not is_machine(FIREFOX, "GET")
    assert not is_machine(
        "Mozilla/5.0 (Linux; Android 13; CUBOT KINGKONG) AppleWebKit/537.36 Chrome/120.0 Mobile Safari/537.36"
    )
    assert not is_machine(None)
    assert is_machine(FIREFOX, "HEAD")


def test_our_own_logs_load_no_other_format() -> None:
    """Reading them pays nothing for the formats that there are."""
    code = (
        "import sys; from crmflow.sources import formats; from crmflow.sources.terms import Options\n"
        'line = b\'{"type": "replied", "time": "2026-03-03T10:00:00Z", "prospect": "p-1"}\'\n'
        "assert formats.terms_for(line, Options()).format == 'crmflow'\n"
        "print([name for name in sys.modules if 'sendgrid' in name or 'crawler' in name])"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True)
    assert ran.stdout == "[]\n"
