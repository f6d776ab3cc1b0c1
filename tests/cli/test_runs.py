"""`crmflow run ...`: everything that a command wrote points back to its run."""

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.cli.conftest import Crm

AT = ("--at", "2026-03-02T00:00:00Z")


def test_list_has_the_newest_first(crm: "Crm") -> None:
    """`run list` gives number, command, time, whether it came to its end, and its counts."""
    lines = crm("run", "list").stdout.splitlines()
    assert len(lines) == 8
    assert lines[3] == '5\tbulk-enroll\t2026-03-01T00:00:00Z\tfinished\tworkflow="welcome" done=3'
    assert lines[-1] == '1\trecord import\t2026-02-28T00:00:00Z\tfinished\ttype="organization" added=1'
    listed = crm.json("run", "list")
    assert [each["run"] for each in listed] == [8, 7, 6, 5, 4, 3, 2, 1]
    assert list(listed[0]) == ["run", "command", "at", "started_at", "finished", "undone_by", "summary"]


def test_show_tells_what_a_run_wrote_and_read(crm: "Crm") -> None:
    """`run show` counts what a run wrote, and names the bytes of the files that it read."""
    crm.log(
        "events.jsonl",
        {"type": "replied", "time": AT[1], "prospect": "p-1"},
        {"type": "field_updated", "time": AT[1], "deal": "D-1", "field": "amount", "value": 5},
        {"type": "step_completed", "time": AT[1], "prospect": "p-2", "workflow": "welcome", "step": "intro"},
        {},
    )
    crm("ingest", "events.jsonl", status=3)
    size = (crm.directory / "events.jsonl").stat().st_size
    shown = crm.json("run", "show", "9")
    assert (shown["command"], shown["finished"]) == ("ingest", True)
    assert shown["wrote"] == {
        "records": 0,
        "field_changes": 1,
        "definitions": 0,
        "enrollments": 0,
        "steps": 1,
        "exits": 2,
        "rejects": 1,
    }
    assert shown["sources"] == [{"path": "events.jsonl", "from_offset": 0, "to_offset": size, "lines": 4}]
    lines = crm("run", "show", "9").stdout.splitlines()
    assert "  wrote 2 exits" in lines
    assert f"  read events.jsonl, bytes 0-{size}, 4 lines" in lines


@pytest.mark.parametrize(
    ("command", "wrote"),
    [
        (("enroll", "p-4", "--workflow", "welcome"), {"enrollments": 1}),
        (("disenroll", "prospect:p-1", "--all-workflows"), {"exits": 2}),
        (("record", "set", "prospect:p-2", "status=lost", "city=Rome"), {"field_changes": 2, "exits": 1}),
        (("record", "add", "deal:D-9"), {"records": 1}),
        (("advance",), {"steps": 3}),
    ],
)
def test_a_command_is_a_run(crm: "Crm", command: tuple[str, ...], wrote: dict[str, int]) -> None:
    """Each change is one run, and its document names it."""
    number = crm.json(*command, *AT)["run"]
    shown = crm.json("run", "show", str(number))
    assert {name: count for name, count in shown["wrote"].items() if count} == wrote


@pytest.mark.parametrize(("run", "status"), [("99", 1), ("0", 2), ("-1", 2), ("x", 2), ("", 2)])
def test_a_run_that_is_not_there(crm: "Crm", run: str, status: int) -> None:
    """An unknown run is an error, and what is no number wrong usage."""
    assert crm.refused("run", "show", "--", run, status=status).startswith("error: ")


def test_an_empty_store_has_no_runs(bare: "Crm") -> None:
    """Making a store is no run."""
    bare("init")
    assert bare.json("run", "list") == []
