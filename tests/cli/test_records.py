"""`crmflow record ...`: adding, setting, importing, showing and removing records."""

import json
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.cli.conftest import Crm

AT = ("--at", "2026-03-02T00:00:00Z")


def test_a_value_is_text_unless_it_is_json(crm: "Crm") -> None:
    """A number, `true`, `false` and `null` are what JSON reads; quotes make them text; all else is text as written."""
    values = ["n=5", "price=1.50", "yes=true", "none=null", 'zip="012"', "raw=012", "word=NO", "list=[1]", "eq=a=b"]
    assert crm("record", "add", "deal:D-9", *values).stdout == "added deal:D-9\n"
    assert crm.json("record", "show", "deal:D-9")["fields"] == {
        "n": 5,
        "price": 1.5,
        "yes": True,
        "none": None,
        "zip": "012",
        "raw": "012",
        "word": "NO",
        "list": "[1]",
        "eq": "a=b",
    }


def test_a_key_that_is_an_email_is_the_email(crm: "Crm") -> None:
    """A prospect whose key is an address has that email, unless another one is given."""
    crm("record", "add", "prospect:new@acme.example")
    crm("record", "add", "prospect:two@acme.example", "email=other@acme.example")
    listed = {each["key"]: each["email"] for each in crm.json("record", "list", "prospect")}
    assert listed["new@acme.example"] == "new@acme.example"
    assert listed["two@acme.example"] == "other@acme.example"


@pytest.mark.parametrize(
    ("arguments", "what"),
    [
        (("prospect:p-1",), "prospect:p-1 is there already"),
        (("prospect:ANA@acme.example",), "prospect:ANA@acme.example is there already"),
        (("prospect:p-9", "email=Ana@ACME.example"), "Ana@ACME.example is the email of prospect:p-1"),
        (("prospect:p-9", "email=nobody"), "'nobody' is no email address"),
        (("prospect:p-9", "organization=o-9"), "there is no organization:o-9"),
        (("deal:D-9", "prospects=p-1 p-9"), "there is no prospect:p-9"),
    ],
)
def test_what_can_not_be_added(crm: "Crm", arguments: tuple[str, ...], what: str) -> None:
    """A key or email that is taken, no address, and a link to a record that is not there are refused."""
    assert crm.refused("record", "add", *arguments).startswith(f"error: {what}")


@pytest.mark.parametrize(
    ("arguments", "what"),
    [
        (("add", "thing:x"), "'thing:x' does not say which type of record it is"),
        (("add", "prospect:"), "'prospect:' names no key"),
        (("add", "deal:D-9", "amount"), "'amount' is no FIELD=VALUE"),
        (("add", "deal:D-9", "=5"), "'=5' is no FIELD=VALUE"),
        (("add", "deal:D-9", "a=1", "a=2"), "a is given twice"),
        (("set", "deal:D-1", "key=D-9"), "a record's key never changes"),
        (("set", "deal:D-1"), "FIELD=VALUE"),
        (("list", "thing"), "unknown type of record 'thing'"),
        (("import", "thing", "deals.csv"), "unknown type of record 'thing'"),
    ],
)
def test_wrong_usage(crm: "Crm", arguments: tuple[str, ...], what: str) -> None:
    """What is no reference, no field or no type ends with 2 and says what was expected."""
    assert what in crm.refused("record", *arguments, status=2)


def test_a_reference_by_key_email_and_former_email(crm: "Crm") -> None:
    """A prospect is found by key, by its email without case, and by an email that it once had."""
    crm("record", "set", "prospect:p-1", "email=Ana@new.example")
    found = [
        crm.json("record", "show", f"prospect:{name}")
        for name in ("p-1", "ana@NEW.example", "Ana@new.example", "ANA@acme.example")
    ]
    assert found[0]["email"] == "Ana@new.example"
    assert all(each == found[0] for each in found)


def test_a_key_comes_before_an_email(crm: "Crm") -> None:
    """Where one prospect's key is another one's email, the key decides."""
    crm("record", "import", "prospect", "-", stdin="key,email\nben@acme.example,first@acme.example\n")
    assert crm.json("record", "show", "prospect:ben@acme.example")["email"] == "first@acme.example"


def test_show_tells_all_of_a_record(crm: "Crm") -> None:
    """`record show` gives fields, links and enrollments, as lines or as JSON."""
    crm("disenroll", "p-1", "--workflow", "welcome", *AT)
    assert crm("record", "show", "prospect:p-1").stdout.splitlines() == [
        "prospect:p-1",
        "  email: ana@acme.example",
        "  name: Ana",
        "  status: lead",
        "  organization: o-1",
        "  nurture: active, enrolled at 2026-03-01T00:00:00Z",
        "  welcome: disenrolled, enrolled at 2026-03-01T00:00:00Z, left at 2026-03-02T00:00:00Z (manual)",
    ]
    deal = crm.json("record", "show", "deal:D-1")
    assert list(deal) == ["type", "key", "fields", "prospects", "enrollments"]
    assert deal["fields"] == {"status": "open", "amount": "400", "organization": "o-1"}
    assert deal["prospects"] == ["p-1", "p-2"]


def test_list_is_a_line_for_each_record(crm: "Crm") -> None:
    """`record list` prints key, email and fields, ordered by key, values as a file would have them."""
    crm("record", "add", "deal:D-0", "hot=true", "lost=null", "amount=5")
    assert crm("record", "list", "deal").stdout == (
        "D-0\t-\thot=true lost= amount=5\n"
        "D-1\t-\tstatus=open amount=400 organization=o-1\n"
        "D-2\t-\tstatus=open amount=900\n"
    )


def test_what_comes_from_outside_moves_no_cursor(crm: "Crm") -> None:
    """Control characters of a value are shown as escapes; JSON carries them as they are."""
    crm("record", "set", "deal:D-1", "note=\x1b]0;title\x07\u202e[red]")
    assert r"note: \x1b]0;title\x07\u202e[red]" in crm("record", "show", "deal:D-1").stdout
    assert crm.json("record", "show", "deal:D-1")["fields"]["note"] == "\x1b]0;title\x07\u202e[red]"


def test_setting_a_field_is_an_update(crm: "Crm") -> None:
    """A field that a trigger waits for ends the enrollment at `--at`; the exit tells what it was."""
    said = crm.json("record", "set", "prospect:p-1", "status=customer", "name=Anna", *AT)
    assert said == {
        "run": 9,
        "type": "prospect",
        "record": "p-1",
        "changed": {"status": "customer", "name": "Anna"},
        "exits": 1,
        "moved": 0,
    }
    [left] = crm.json("enrollment", "list", "--workflow", "welcome", "--state", "disenrolled")
    assert (left["exited_at"], left["exit"]["trigger"]) == ("2026-03-02T00:00:00Z", "field_updated")
    assert left["exit"]["event"]["type"] == "field_updated"


def test_another_value_ends_nothing(crm: "Crm") -> None:
    """A value that the trigger does not name ends no enrollment."""
    assert crm("record", "set", "prospect:p-1", "status=warm").stdout == "prospect:p-1: set status\n"
    assert crm.left() == {}


def test_the_same_value_is_no_change(crm: "Crm") -> None:
    """Setting a field to the value that it has makes no run and no event."""
    said = crm("record", "set", "prospect:p-1", "status=lead", "email=ana@acme.example")
    assert said.stdout == "prospect:p-1: nothing to change\n"
    assert len(crm.json("run", "list")) == 8


@pytest.mark.parametrize(("status", "trigger"), [("won", "deal_won"), ("lost", "deal_lost")])
def test_a_status_of_a_deal_is_a_win_or_a_loss(crm: "Crm", status: str, trigger: str) -> None:
    """Setting a deal's status to `won` or `lost` is a `deal_won` or `deal_lost`."""
    said = crm("record", "set", "deal:D-1", f"status={status}", *AT)
    assert said.stdout == "deal:D-1: set status; 1 enrollments ended, 0 exits moved\n"
    assert crm.left("closing") == {"D-1": ("2026-03-02T00:00:00Z", trigger)}


def test_an_organizations_field_ends_its_workflow(crm: "Crm") -> None:
    """`field_updated` works for organizations as for the other types, with any value where none is named."""
    crm("record", "set", "organization:o-1", "owner=mara", *AT)
    assert crm.left("onboarding") == {"o-1": ("2026-03-02T00:00:00Z", "field_updated")}


def test_an_earlier_update_moves_an_exit(crm: "Crm") -> None:
    """An update dated before the exit that stands moves that exit."""
    crm("record", "set", "prospect:p-1", "status=customer", "--at", "2026-03-05T00:00:00Z")
    said = crm.json("record", "set", "prospect:p-1", "status=lost", *AT)
    assert (said["exits"], said["moved"]) == (0, 1)
    assert crm.left() == {"p-1": ("2026-03-02T00:00:00Z", "field_updated")}
    assert crm.json("record", "show", "prospect:p-1")["fields"]["status"] == "customer"


def test_links_can_be_changed(crm: "Crm") -> None:
    """A deal's prospects and organization are set like fields; a link to nothing is refused."""
    assert crm("record", "set", "deal:D-1", "prospects=p-3, ben@acme.example").stdout == "deal:D-1: set its links\n"
    assert crm.json("record", "show", "deal:D-1")["prospects"] == ["p-2", "p-3"]
    assert "there is no prospect:p-9" in crm.refused("record", "set", "deal:D-1", "prospects=p-9")
    assert "there is no organization:o-9" in crm.refused("record", "set", "deal:D-1", "organization=o-9")


def test_an_email_belongs_to_one_prospect(crm: "Crm") -> None:
    """A prospect can't take the email that another one has, but one that another one gave up."""
    assert "BEN@acme.example is the email of prospect:p-2" in crm.refused(
        "record", "set", "prospect:p-1", "email=BEN@acme.example"
    )
    crm("record", "set", "prospect:p-2", "email=benjamin@acme.example")
    crm("record", "set", "prospect:p-1", "email=ben@acme.example")
    assert crm.json("record", "show", "prospect:ben@acme.example")["key"] == "p-1"


def test_remove_takes_a_record_away(crm: "Crm") -> None:
    """`record remove` forgets the record; its enrollments stay as numbers in `status`."""
    said = crm.json("record", "remove", "prospect:p-1")
    assert (said["record"], said["enrollments"], said["rejects"]) == ("p-1", 2, 0)
    assert "there is no prospect 'p-1'" in crm.refused("record", "show", "prospect:p-1")
    welcome = crm.json("status")["workflows"][-1]
    assert (welcome["enrolled"], welcome["active"]) == (3, 2)
    assert crm.json("doctor")["sound"]


def test_an_organization_that_is_named_stays(crm: "Crm") -> None:
    """An organization that prospects or deals name can't be removed."""
    assert "2 records name organization:o-1" in crm.refused("record", "remove", "organization:o-1")


def test_an_import_adds_and_updates(crm: "Crm") -> None:
    """New keys are added, changed fields of others are updates at `--at`, the rest is unchanged."""
    crm.write("deals.csv", "key,status,amount\nD-1,won,400\nD-2,open,900\nD-3,open,5\n")
    assert crm.json("record", "import", "deal", "deals.csv", *AT) == {
        "run": 9,
        "added": 1,
        "changed": 1,
        "unchanged": 1,
        "invalid": 0,
        "exits": 1,
        "moved": 0,
        "rows": [],
    }
    assert crm.left("closing") == {"D-1": ("2026-03-02T00:00:00Z", "deal_won")}
    [left] = crm.json("enrollment", "list", "--record", "deal:D-1")
    assert (left["exit"]["event"]["source"], left["exit"]["event"]["line"]) == ("deals.csv", 2)
    assert crm.json("record", "show", "deal:D-1")["fields"]["organization"] == "o-1"


def test_the_same_import_again_changes_nothing(crm: "Crm") -> None:
    """A file that was imported leaves no run the second time."""
    said = crm("record", "import", "prospect", "prospects.csv")
    assert said.stdout == "0 added, 0 changed, 4 unchanged, 0 invalid, 0 exits, 0 moved\n"
    assert len(crm.json("run", "list")) == 8


def test_rows_that_are_invalid_are_told(crm: "Crm") -> None:
    """An invalid row is named with its line and reason; the others are imported; the exit status is 3."""
    crm.write(
        "new.csv",
        "key,email,organization\n"
        "p-5,eve@acme.example,o-1\n"
        ",nokey@acme.example,\n"
        "p-6,no address,\n"
        "p-7,,o-9\n"
        "p-8\n"
        "p-9,Ana@acme.example,\n",
    )
    ran = crm("record", "import", "prospect", "new.csv", status=3)
    assert ran.stdout == "1 added, 0 changed, 0 unchanged, 5 invalid, 0 exits, 0 moved\n"
    assert sorted(ran.stderr.splitlines()) == [
        "warning: new.csv:3: the key is empty",
        "warning: new.csv:4: 'no address' is no email address",
        "warning: new.csv:5: there is no organization:o-9",
        "warning: new.csv:6: 1 cells where the header has 3",
        "warning: new.csv:7: Ana@acme.example is the email of another prospect",
    ]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("p.csv", "email,zip\nnew@acme.example,01234\n"),
        ("p.csv", "\ufeffemail;zip\r\nnew@acme.example;01234\r\n"),
        ("p.tsv", "email\tzip\nnew@acme.example\t01234\n"),
        ("p.csv", 'zip,email\n"01234","new@acme.example"\n\n'),
        ("p.jsonl", '{"email": "new@acme.example", "zip": "01234"}\n'),
        ("-", "email,zip\n new@acme.example , 01234\n"),
    ],
)
def test_an_import_reads_what_tools_write(crm: "Crm", name: str, content: str) -> None:
    """Comma, semicolon, tab, BOM, CRLF, quotes, JSON lines and standard input; text stays text; email is the key."""
    if name != "-":
        crm.write(name, content)
    assert crm.json("record", "import", "prospect", name, stdin=content)["added"] == 1
    new = crm.json("record", "show", "prospect:new@acme.example")
    assert (new["key"], new["email"], new["fields"]) == ("new@acme.example", "new@acme.example", {"zip": "01234"})


def test_json_lines_carry_types(crm: "Crm") -> None:
    """JSON lines keep numbers, true, false and null; a nested value makes its row invalid."""
    rows = [{"key": "D-5", "amount": 5, "hot": True, "note": None}, {"key": "D-6", "tags": ["a"]}]
    crm.write("d.jsonl", "".join(json.dumps(row) + "\n" for row in rows))
    said = crm.json("record", "import", "deal", "d.jsonl", status=3)
    assert (said["added"], said["rows"][0]["row"], said["rows"][0]["outcome"]) == (1, 2, "invalid")
    assert crm.json("record", "show", "deal:D-5")["fields"] == {"amount": 5, "hot": True}


def test_an_import_links_records(crm: "Crm") -> None:
    """A deal names its prospects, by key or email; one that is not there makes the row invalid."""
    crm.write("d.csv", "key,prospects\nD-5,p-1 BEN@acme.example\nD-6,p-9\nD-1,p-3\n")
    said = crm.json("record", "import", "deal", "d.csv", status=3)
    assert (said["added"], said["changed"], said["invalid"]) == (1, 1, 1)
    assert said["rows"] == [{"row": 3, "outcome": "invalid", "reason": "there is no prospect:p-9"}]
    assert crm.json("record", "show", "deal:D-5")["prospects"] == ["p-1", "p-2"]
    assert crm.json("record", "show", "deal:D-1")["prospects"] == ["p-3"]


def test_a_key_twice_in_a_file_is_an_update(crm: "Crm") -> None:
    """The second row of a key updates what the first one added."""
    crm.write("d.csv", "key,amount\nD-5,1\nD-5,1\nD-5,2\n")
    said = crm.json("record", "import", "deal", "d.csv")
    assert (said["added"], said["unchanged"], said["changed"]) == (1, 1, 1)
    assert crm.json("record", "show", "deal:D-5")["fields"] == {"amount": "2"}
