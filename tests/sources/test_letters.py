"""Mail that came in: what its headers tell."""

from datetime import UTC, datetime, timedelta, timezone

import pytest

from crmflow.sources.letters import Headers, came_in, has_token, headers_in, is_automatic, kind_of, written_at
from crmflow.sources.objects import LineError

MONDAY = datetime(2026, 3, 2, 10, tzinfo=UTC)
ON_MONDAY = "Mon, 02 Mar 2026 11:00:00 +0100 (CET)"
ANSWER = {"in-reply-to": "<m-1@acme.example>"}


@pytest.mark.parametrize(
    "carrier",
    [
        {"Subject": "Hi", "Received": ["by b", "by a"], "X-None": None},
        [["Subject", "Hi"], ["Received", "by b"], ["received", "by a"]],
        [{"Name": "SUBJECT", "Value": "Hi"}, {"Name": "Received", "Value": "by b"}],
        [{"name": "subject", "value": "Hi"}, {"name": "Received", "value": "by b"}, "odd", ["one"]],
        [{"Subject": "Hi"}, {"Received": "by b"}, {"Received": ["by a"]}],
    ],
)
def test_headers_come_in_many_forms(carrier: object) -> None:
    """Their names are without case, and of several of one name the topmost counts."""
    assert headers_in(carrier) == {"subject": "Hi", "received": "by b"}


def test_headers_that_are_no_text_are_refused() -> None:
    """A mail without any has none."""
    assert headers_in(None) == headers_in([]) == headers_in("x") == {}
    for carrier in ({"Subject": 5}, [{"Name": ["x"], "Value": "y"}], [["Subject", {}]], [["a\0", "b"]]):
        with pytest.raises(LineError):
            headers_in(carrier)


@pytest.mark.parametrize(
    "headers",
    [
        {"auto-submitted": "auto-replied"},
        {"auto-submitted": " Auto-Generated (failure)"},
        {"auto-submitted": 'auto-replied; owner-email="ana@acme.example"'},
        {"x-autoreply": "yes"},
        {"x-autorespond": ""},
        {"precedence": "Auto_Reply"},
        {"return-path": "<>"},
        {"content-type": "multipart/report; report-type=delivery-status"},
        {"subject": "Automatic reply: Welcome"},
        {"subject": "Out of Office AutoReply: Welcome"},
        {"subject": "Abwesenheitsnotiz: Willkommen"},
        {"subject": "Réponse automatique : Bienvenue"},
        {"subject": "Out of the office until Monday", "x-auto-response-suppress": "All"},
        {"subject": "OOO this week", "precedence": "bulk"},
    ],
)
def test_machines_are_known_by_their_headers(headers: Headers) -> None:
    """What they write is no answer, even where it says that it answers something."""
    assert is_automatic(headers)
    assert kind_of(headers | ANSWER, is_answer=True) == "auto_replied"


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"auto-submitted": "no"},
        {"auto-submitted": ""},
        {"x-autoreply": "no"},
        {"x-auto-response-suppress": "All", "subject": "Re: Welcome"},
        {"precedence": "bulk", "subject": "Re: Welcome"},
        {"return-path": "<ana@acme.example>"},
        {"content-type": "multipart/alternative; boundary=report"},
        {"subject": "Re: Automatic reply: Welcome"},
        {"subject": "Out of office next week"},
        {"subject": "Automation: a question"},
    ],
)
def test_people_are_no_machines(headers: Headers) -> None:
    """Not even where they ask that no machine may answer them."""
    assert not is_automatic(headers)
    assert kind_of(headers | ANSWER) == "replied"


def test_an_answer_says_so_or_went_to_an_address_made_up_for_it() -> None:
    """Everything else begins a conversation."""
    assert kind_of({"in-reply-to": "<m-1@acme.example>"}) == "replied"
    assert kind_of({"references": "<m-0@acme.example> <m-1@acme.example>"}) == "replied"
    assert kind_of({"in-reply-to": " ", "references": ""}) == "conversation_started"
    assert kind_of({}, is_answer=has_token(None, "Team <reply+b7f2@acme.example>")) == "replied"
    assert not has_token("team@acme.example", "A+B <team@acme.example>", "team+@acme.example", "", None)


@pytest.mark.parametrize(
    "headers", [{"list-id": "<news.acme.example>"}, {"list-unsubscribe": "<https://x>"}, {"precedence": "list"}]
)
def test_what_was_sent_to_many_begins_no_conversation(headers: Headers) -> None:
    """An answer to us is one all the same."""
    assert kind_of(headers) is None
    assert list(came_in(headers, "ana@acme.example", MONDAY)) == []
    assert kind_of(headers | ANSWER) == "replied"


def test_a_mail_is_told_of_who_wrote_it() -> None:
    """By the address; a sender without one is refused."""
    [event] = came_in(ANSWER, "Ana <ana@acme.example>", MONDAY, "m-2")
    assert (event.type, event.name, event.at, event.id) == ("replied", "ana@acme.example", MONDAY, "m-2")
    with pytest.raises(LineError, match="no email address"):
        list(came_in(ANSWER, "Ana", MONDAY))


@pytest.mark.parametrize(
    "date",
    [ON_MONDAY, "2 Mar 2026 10:00 GMT", "Mon, 2 Mar 2026 10:00:00 -0000", "2026-03-02T11:00:00+01:00"],
)
def test_a_mail_is_sent_when_it_says(date: str) -> None:
    """In the form of mails, or in that of everything else."""
    assert written_at({"date": date}, None) == MONDAY
    assert written_at({"date": date, "received": "by a; Mon, 02 Mar 2026 10:00:09 +0000"}, None) == MONDAY
    assert written_at({"date": date, "received": "by a; at noon"}, None) == MONDAY


@pytest.mark.parametrize("date", ["Fri, 01 Jan 2038 00:00:00 +0000", "Sat, 28 Feb 2026 10:00:00 +0000", "at noon", ""])
def test_a_clock_that_is_wrong_is_not_believed(date: str) -> None:
    """A day and more from when the mail came in, or no time at all."""
    assert written_at({"date": date, "received": f"from a by b (x; y);\t{ON_MONDAY}"}, None) == MONDAY


def test_a_date_without_an_offset_is_by_a_clock_that_the_user_names() -> None:
    """Or refused, as is what is no date."""
    naive = {"date": "Mon, 2 Mar 2026 12:00:00"}
    assert written_at(naive, timezone(timedelta(hours=2))) == MONDAY
    with pytest.raises(LineError, match="without an offset"):
        written_at(naive, None)
    for date in ("", "at noon", "Mon, 99 Mar 2026 12:00:00 +0000", "Mon, 2 Mar 2026 12:00:00 +9999"):
        with pytest.raises(LineError, match="no time"):
            written_at({"date": date}, None)
