"""Leaving by hand: `disenroll` and `bulk-disenroll`."""

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.cli.conftest import Crm

AT = ("--at", "2026-03-02T00:00:00Z")


def test_the_only_workflow_needs_no_name(crm: "Crm") -> None:
    """Without `--workflow` a record leaves the one workflow that it is in."""
    ran = crm("disenroll", "prospect:p-2", *AT)
    assert ran.stdout == "prospect:p-2 left welcome at 2026-03-02T00:00:00Z\n"
    assert crm.left() == {"p-2": ("2026-03-02T00:00:00Z", "manual")}


def test_of_several_workflows_one_must_be_named(crm: "Crm") -> None:
    """A record that is in several workflows leaves none of them: they are listed, with the options that decide."""
    assert crm.refused("disenroll", "prospect:p-1") == (
        "error: prospect:p-1 is in 2 workflows: nurture, welcome\n"
        "hint: say which with --workflow NAME, or --all-workflows\n"
    )
    crm("disenroll", "p-1", "--workflow", "nurture")
    assert crm.left("welcome") == {}


def test_all_workflows_can_be_left_at_once(crm: "Crm") -> None:
    """`--all-workflows` takes the record out of all of them, in one run, with the note."""
    said = crm.json("disenroll", "prospect:ANA@acme.example", "--all-workflows", "--note", "asked us to", *AT)
    assert said == {
        "run": 9,
        "record": "p-1",
        "type": "prospect",
        "workflows": ["nurture", "welcome"],
        "exited_at": "2026-03-02T00:00:00Z",
    }
    exits = [each["exit"] for each in crm.json("enrollment", "list", "--record", "prospect:p-1")]
    assert exits == [{"cause": "manual", "trigger": None, "event": None, "run": 9, "note": "asked us to"}] * 2


def test_one_or_all_exclude_each_other(crm: "Crm") -> None:
    """`--workflow` and `--all-workflows` together are wrong usage."""
    said = crm.refused("disenroll", "prospect:p-1", "--workflow", "welcome", "--all-workflows", status=2)
    assert said == "error: --workflow and --all-workflows exclude each other\n"


def test_who_is_out_already_stays_out(crm: "Crm") -> None:
    """Leaving again, later, changes nothing, is no error and no run."""
    crm("disenroll", "p-2", "--workflow", "welcome", *AT)
    before = crm.tables()
    ran = crm("disenroll", "p-2", "--workflow", "welcome", "--at", "2026-03-03T00:00:00Z")
    assert ran.stdout == "prospect:p-2 is out already\n"
    assert crm.json("disenroll", "p-2", "--workflow", "welcome")["run"] is None
    assert crm.tables() == before


def test_leaving_earlier_moves_the_exit(crm: "Crm") -> None:
    """Leaving by hand at a time before the exit that stands moves that exit: the earliest stands."""
    crm("disenroll", "p-2", "--workflow", "welcome", "--at", "2026-03-05T00:00:00Z")
    crm("disenroll", "p-2", "--workflow", "welcome", *AT)
    assert crm.left() == {"p-2": ("2026-03-02T00:00:00Z", "manual")}


def test_by_hand_comes_before_a_trigger_of_the_same_moment(crm: "Crm") -> None:
    """At the same moment an exit by hand stands before one by a trigger, whichever was told first."""
    crm.log(
        "events.jsonl",
        {"type": "replied", "time": "2026-03-02T00:00:00Z", "prospect": "p-2"},
        {"type": "replied", "time": "2026-03-02T00:00:00Z", "prospect": "p-3"},
    )
    crm("disenroll", "p-2", "--workflow", "welcome", *AT)
    crm("ingest", "events.jsonl")
    crm("disenroll", "p-3", "--workflow", "welcome", *AT)
    assert crm.left() == dict.fromkeys(("p-2", "p-3"), ("2026-03-02T00:00:00Z", "manual"))


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        (
            ("p-4", "-w", "welcome"),
            1,
            "error: prospect:p-4 was never enrolled in welcome\nhint: see crmflow enrollment",
        ),
        (("prospect:p-4",), 1, "error: prospect:p-4 is in no workflow\nhint: see crmflow enrollment list --record"),
        (
            ("p-2", "-w", "welcome", "--at", "2026-02-28T00:00:00Z"),
            1,
            "error: prospect:p-2 was enrolled in welcome only at 2026-03-01T00:00:00Z, after 2026-02-28T00:00:00Z\n",
        ),
        (("p-2", "-w", "wellcome"), 1, "error: there is no workflow 'wellcome'\nhint: did you mean welcome?"),
        (("p-22", "-w", "welcome"), 1, "error: there is no prospect 'p-22'\nhint: did you mean p-2"),
        (("deal:D-1", "-w", "welcome"), 1, "error: deal:D-1 is no prospect\n"),
        (("p-2",), 2, "error: 'p-2' does not say which type of record it is\nhint: write TYPE:KEY"),
        (("p-2", "-w", ""), 2, "error: Invalid value for '--workflow' / '-w': it is empty"),
        (("", "-w", "welcome"), 2, "error: Invalid value for 'REF': it is empty"),
    ],
)
def test_who_can_not_leave(crm: "Crm", arguments: tuple[str, ...], status: int, said: str) -> None:
    """Who is not in, an unknown record or workflow, a time before the enrollment: refused, and said why."""
    assert crm.refused("disenroll", *arguments, status=status).startswith(said)


def test_every_row_of_a_selection_has_its_outcome(crm: "Crm") -> None:
    """The rows that can be done are, in one run at `--at`; each other row is told with its line and outcome."""
    crm("disenroll", "p-3", "--workflow", "welcome", "--at", "2026-03-01T06:00:00Z")
    crm.write("selection.csv", "reason,key\nx,p-1\nx,p-3\nx,p-4\nx,zzz\nx,ANA@acme.example\nx\nx,p-2\n")
    assert crm.json("bulk-disenroll", "-w", "welcome", "selection.csv", "--note", "sale", *AT, status=3) == {
        "run": 10,
        "done": 2,
        "already_out": 1,
        "not_enrolled": 1,
        "unknown": 1,
        "duplicate": 1,
        "invalid": 1,
        "rows": [
            {"row": 3, "record": "p-3", "outcome": "already_out"},
            {"row": 4, "record": "p-4", "outcome": "not_enrolled"},
            {"row": 5, "record": "zzz", "outcome": "unknown"},
            {"row": 6, "record": "ANA@acme.example", "outcome": "duplicate"},
            {"row": 7, "record": "", "outcome": "invalid", "reason": "1 cells where the header has 2"},
        ],
    }
    left = crm.json("enrollment", "list", "--workflow", "welcome")
    assert [(each["record"], each["exited_at"], each["exit"]["note"]) for each in left] == [
        ("p-1", "2026-03-02T00:00:00Z", "sale"),
        ("p-2", "2026-03-02T00:00:00Z", "sale"),
        ("p-3", "2026-03-01T06:00:00Z", None),
    ]


def test_the_rows_are_told_in_words(crm: "Crm") -> None:
    """Counts go to standard output, the rows to standard error; `--quiet` leaves only what is wrong."""
    crm.write("selection.csv", "key\np-1\np-4\nzzz\n")
    ran = crm("bulk-disenroll", "--workflow", "welcome", "selection.csv", "--dry-run", status=3)
    assert ran.stdout == "1 done, 0 already out, 1 not enrolled, 1 unknown, 0 duplicate, 0 invalid\n"
    assert ran.stderr.splitlines()[:2] == [
        "selection.csv:3: p-4: not enrolled",
        "warning: selection.csv:4: zzz: unknown",
    ]
    ran = crm("bulk-disenroll", "--workflow", "welcome", "selection.csv", "--quiet", status=3)
    assert (ran.stdout, ran.stderr) == ("", "warning: selection.csv:4: zzz: unknown\n")


def test_rows_that_need_nothing_are_no_failure(crm: "Crm") -> None:
    """Rows that are already out, not enrolled or duplicate end with 0: there was nothing to do for them."""
    command = ("bulk-disenroll", "--workflow", "welcome", "-", "--all-or-nothing")
    rows = "key\np-1\np-1\n"
    assert crm.json(*command, stdin=rows)["done"] == 1
    again = crm.json(*command, stdin=rows)
    assert (again["run"], again["done"], again["already_out"], again["duplicate"]) == (None, 0, 1, 1)
    assert crm.json("bulk-disenroll", "--workflow", "welcome", "-", stdin="key\np-4\n")["not_enrolled"] == 1


@pytest.mark.parametrize("row", ["zzz", "p-4", '""'])
def test_all_or_nothing(crm: "Crm", row: str) -> None:
    """With `--all-or-nothing` one row that can't be done (unknown, not enrolled, invalid) stops all of them."""
    said = crm.refused("bulk-disenroll", "-w", "welcome", "-", "--all-or-nothing", stdin=f"key\np-1\n{row}\n")
    assert said.startswith("error: -: 1 rows can't be done, the first in row 3 (")
    assert "nothing was changed" in said


def test_a_selection_before_the_enrollment(crm: "Crm") -> None:
    """With `--at` before the enrollment began a row is *not enrolled*, and stays in the workflow."""
    command = ("bulk-disenroll", "-w", "welcome", "-", "--at", "2026-02-28T00:00:00Z")
    assert crm.json(*command, stdin="key\np-1\n")["not_enrolled"] == 1
    assert crm.left() == {}


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("s.csv", "key,name\np-1,Ana\np-2,Ben\n"),
        ("s.csv", 'name;key\n"Ana, or so";p-1\nBen;p-2\n'),
        ("s.tsv", "name\tkey\nAna\tp-1\nBen\tp-2\n"),
        ("s.csv", "\ufeffkey\r\np-1\r\np-2\r\n"),
        ("s.csv", "key\n p-1 \n\np-2"),
        ("s.csv", "email\nANA@acme.example\nben@acme.example\n"),
        ("s.csv", "email,key\nnobody@acme.example,p-1\n,p-2\n"),
        ("s.csv", b"\xff\xfek\0e\0y\0\n\0p\0-\0001\0\n\0p\0-\0002\0\n\0"),
        ("s.jsonl", '{"key": "p-1", "n": 1}\n\n{"n": 2, "key": "p-2"}\n'),
        ("s.txt", '{"email": "ana@acme.example"}\n{"key": "p-2"}\n'),
        ("-", "key\np-1\np-2\n"),
    ],
)
def test_a_selection_is_what_tools_write(crm: "Crm", name: str, content: str | bytes) -> None:
    """Comma, semicolon, tab, BOM, CRLF, blank lines, UTF-16, JSON lines, standard input; by key or by email."""
    if name != "-":
        crm.write(name, content)
    said = crm.json("bulk-disenroll", "--workflow", "welcome", name, stdin=str(content))
    assert (said["done"], said["rows"]) == (2, [])


def test_the_column_can_be_named(crm: "Crm") -> None:
    """`--column` names the column of the keys, in CSV and in JSON lines."""
    said = crm.json("bulk-disenroll", "-w", "welcome", "-", "--column", "who", stdin="key,who\np-9,p-1\n")
    assert said["done"] == 1
    said = crm.json("bulk-disenroll", "-w", "welcome", "-", "--column", "who", stdin='{"key": "p-9", "who": "p-2"}\n')
    assert said["done"] == 1


@pytest.mark.parametrize("content", ["id,name\np-1,Ana\n", '{"id": "p-1", "name": "Ana"}\n'])
def test_a_selection_without_keys_says_what_it_has(crm: "Crm", content: str) -> None:
    """Without a column of keys nothing is done; the error names the columns that are there, and `--column`."""
    for options, wanted in ((), "key or email"), (("--column", "who"), "who"):
        said = crm.refused("bulk-disenroll", "-w", "welcome", "-", *options, stdin=content)
        assert said == (
            f"error: -: there is no column {wanted}; its columns are id, name\n"
            "hint: name the column that holds the keys with --column NAME\n"
        )


def test_one_json_line_without_a_key_is_one_invalid_row(crm: "Crm") -> None:
    """A JSON line that lacks the key, or is none, is invalid; the others are done."""
    crm.write("s.jsonl", '{"key": "p-1"}\n{"name": "Ana"}\n{"key": \n{"key": ["p-3"]}\n{"key": "p-2"}\n')
    said = crm.json("bulk-disenroll", "-w", "welcome", "s.jsonl", status=3)
    assert (said["done"], said["invalid"]) == (2, 3)
    assert [row["row"] for row in said["rows"]] == [2, 3, 4]
    assert said["rows"][0]["reason"] == "key is empty"


def test_only_prospects_have_an_email(crm: "Crm") -> None:
    """For deals the column is `key`; a column `email` does not stand in for it."""
    said = crm.refused("bulk-disenroll", "-w", "closing", "-", stdin="email\nana@acme.example\n")
    assert "there is no column key; its columns are email" in said
