"""The documents that scripts may rely on: their keys, the order of their keys, and what their values look like."""

import json
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.cli.conftest import Crm

AT = ("--at", "2026-03-02T10:00:00.5+01:00")

ENROLLMENTS = """\
[
  {
    "workflow": "closing",
    "type": "deal",
    "record": "D-1",
    "state": "active",
    "enrolled_at": "2026-03-01T00:00:00Z",
    "step": null,
    "exited_at": null,
    "exit": null
  },
  {
    "workflow": "nurture",
    "type": "prospect",
    "record": "p-1",
    "state": "disenrolled",
    "enrolled_at": "2026-03-01T00:00:00Z",
    "step": null,
    "exited_at": "2026-03-02T09:00:00.5Z",
    "exit": {
      "cause": "manual",
      "trigger": null,
      "event": null,
      "run": 10,
      "note": "asked us to"
    }
  },
  {
    "workflow": "onboarding",
    "type": "organization",
    "record": "o-1",
    "state": "active",
    "enrolled_at": "2026-03-01T00:00:00Z",
    "step": null,
    "exited_at": null,
    "exit": null
  },
  {
    "workflow": "welcome",
    "type": "prospect",
    "record": "p-1",
    "state": "completed",
    "enrolled_at": "2026-03-01T00:00:00Z",
    "step": "follow-up",
    "exited_at": "2026-03-02T12:00:00.000001Z",
    "exit": {
      "cause": "completed",
      "trigger": null,
      "event": {
        "id": "s-1",
        "type": "step_completed",
        "time": "2026-03-02T12:00:00.000001Z",
        "source": "events.jsonl",
        "line": 2
      },
      "run": 11,
      "note": null
    }
  },
  {
    "workflow": "welcome",
    "type": "prospect",
    "record": "p-2",
    "state": "disenrolled",
    "enrolled_at": "2026-03-01T00:00:00Z",
    "step": "intro",
    "exited_at": "2026-03-02T10:00:00Z",
    "exit": {
      "cause": "trigger",
      "trigger": "replied",
      "event": {
        "id": null,
        "type": "replied",
        "time": "2026-03-02T10:00:00Z",
        "source": "events.jsonl",
        "line": 1
      },
      "run": 11,
      "note": null
    }
  },
  {
    "workflow": "welcome",
    "type": "prospect",
    "record": "p-3",
    "state": "active",
    "enrolled_at": "2026-03-01T00:00:00Z",
    "step": "intro",
    "exited_at": null,
    "exit": null
  }
]
"""


def test_enrollment_list(crm: "Crm") -> None:
    """`enrollment list --json` is exactly this: an array ordered by workflow, record and time; times in UTC."""
    step = {"id": "s-1", "type": "step_completed", "prospect": "p-1", "workflow": "welcome", "step": "follow-up"}
    crm.log(
        "events.jsonl",
        {"type": "replied", "time": "2026-03-02T10:00:00.000Z", "prospect": "p-2"},
        {**step, "time": "2026-03-02T12:00:00.0000019Z"},
    )
    crm("advance", "--at", "2026-03-01T00:00:00Z")
    crm("disenroll", "p-1", "--workflow", "nurture", "--note", "asked us to", *AT)
    crm("ingest", "events.jsonl")
    assert crm("enrollment", "list", "--json").stdout == ENROLLMENTS


def test_an_enrollment_that_came_back_is_listed_after_the_first(crm: "Crm") -> None:
    """Enrollments of one record in one workflow are ordered by their beginning."""
    crm("disenroll", "p-1", "--workflow", "nurture", *AT)
    crm("enroll", "p-1", "--workflow", "nurture", "--at", "2026-03-04T00:00:00Z")
    listed = crm.json("enrollment", "list", "--workflow", "nurture")
    assert [each["enrolled_at"] for each in listed] == ["2026-03-01T00:00:00Z", "2026-03-04T00:00:00Z"]


def test_ingest(crm: "Crm") -> None:
    """`ingest --json` is exactly this."""
    line = json.dumps({"type": "replied", "time": "2026-03-02T10:00:00Z", "prospect": "p-2"})
    crm.write("events.jsonl", f'{line}\n{{"type": "sms_sent"}}\n{line[:20]}')
    assert crm("ingest", "events.jsonl", "--json").stdout == (
        f"""\
{{
  "run": 9,
  "lines": 2,
  "rejected": 0,
  "unknown_types": {{
    "sms_sent": 1
  }},
  "without_effect": 0,
  "unmatched": 0,
  "considered": 1,
  "exits": 1,
  "moved": 0,
  "incomplete": 1,
  "sources": [
    {{
      "path": "events.jsonl",
      "from_offset": 0,
      "to_offset": {len(line) + 22},
      "lines": 2
    }}
  ]
}}
"""
    )


def test_ingest_with_nothing_new(crm: "Crm") -> None:
    """With nothing new to read all keys are there, and `run` is null."""
    crm.write("events.jsonl", "")
    said = crm.json("ingest", "events.jsonl")
    assert list(said) == [
        "run",
        "lines",
        "rejected",
        "unknown_types",
        "without_effect",
        "unmatched",
        "considered",
        "exits",
        "moved",
        "incomplete",
        "sources",
    ]
    assert said["run"] is None
    assert not any(said.values())


@pytest.mark.parametrize(
    ("command", "already", "rows"),
    [("bulk-disenroll", "already_out", "key\np-1\np-4\n"), ("bulk-enroll", "already_in", "key\np-4\np-1\n")],
)
def test_bulk(crm: "Crm", command: str, already: str, rows: str) -> None:
    """The bulk commands' documents are exactly this, each with its word for *already*."""
    ran = crm(command, "--workflow", "welcome", "-", "--json", stdin=rows)
    counts = {"done": 1, already: int(already == "already_in"), "not_enrolled": int(already == "already_out")}
    outcome = "already_in" if already == "already_in" else "not_enrolled"
    name = "p-1" if already == "already_in" else "p-4"
    document = {
        "run": 9,
        **counts,
        "unknown": 0,
        "duplicate": 0,
        "invalid": 0,
        "rows": [{"row": 3, "record": name, "outcome": outcome}],
    }
    assert ran.stdout == json.dumps(document, indent=2) + "\n"


@pytest.mark.parametrize(
    ("command", "keys"),
    [
        (("enroll", "p-4", "-w", "welcome"), "run record type workflow enrolled_at"),
        (("disenroll", "p-1", "-w", "welcome"), "run record type workflows exited_at"),
        (("record", "add", "deal:D-9"), "run type record changed exits moved"),
        (("record", "set", "deal:D-1", "a=1"), "run type record changed exits moved"),
        (("record", "show", "prospect:p-1"), "type key email fields bounced enrollments"),
        (("record", "show", "deal:D-1"), "type key fields prospects enrollments"),
        (("record", "import", "deal", "deals.csv"), "run added changed unchanged invalid exits moved rows"),
        (("workflow", "apply", "welcome.yaml"), "run changes untouched"),
        (("workflow", "remove", "closing", "--disenroll"), "run workflow disenrolled at"),
        (
            ("workflow", "show", "welcome"),
            "workflow type description steps triggers active digest applied_at path versions source",
        ),
        (("advance",), "run steps exits"),
        (("rejects", "retry"), "run understood rejected exits moved"),
        (("run", "show", "1"), "run command at started_at finished undone_by summary wrote sources"),
        (("status",), "store records workflows rejects"),
        (("doctor",), "store sound findings"),
        (("backup", "copy.db"), "path bytes"),
        (("report",), "store made_at from to exits_unit lines_unit workflows lines"),
        (("report", "--out", "report.html"), "path bytes"),
    ],
    ids=lambda each: " ".join(each) if isinstance(each, tuple) else "",
)
def test_the_keys_of_a_document(crm: "Crm", command: tuple[str, ...], keys: str) -> None:
    """Every command's document has these keys, in this order."""
    assert list(crm.json(*command)) == keys.split()


def test_an_empty_list_is_a_document(bare: "Crm") -> None:
    """Where there is nothing to list, the document is an empty array, and without `--json` nothing is printed."""
    bare("init", "--quiet")
    for command in (
        ("enrollment", "list"),
        ("due",),
        ("workflow", "list"),
        ("record", "list", "deal"),
        ("run", "list"),
    ):
        assert bare(*command, "--json").stdout == "[]\n"
        assert bare(*command).stdout == ""


def test_other_scripts_are_kept(crm: "Crm") -> None:
    """Text of any language goes in and comes out as it is."""
    crm("record", "set", "prospect:p-1", "name=Zoë 東京 🙂")
    shown = crm("record", "show", "prospect:p-1", "--json").stdout
    assert '"name": "Zoë 東京 🙂"' in shown


def test_the_option_may_stand_first(crm: "Crm") -> None:
    """`crmflow --json COMMAND` is `crmflow COMMAND --json`."""
    assert crm("--json", "--quiet", "due").stdout == crm("due", "--json").stdout


def test_errors_are_no_document(crm: "Crm") -> None:
    """A command that fails prints no document: its standard output is empty, and the error is in words."""
    assert crm.refused("enroll", "p-1", "-w", "welcome", "--json").startswith("error: ")
