"""`init`, `demo`, `status`, `doctor`, `backup`: the store as a whole."""

import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.cli.conftest import Crm


def test_init_makes_a_store_for_its_owner_alone(bare: "Crm") -> None:
    """`init` makes a store that only its owner can read, names it, and says on standard error what comes next."""
    made = bare("init")
    assert made.stdout == "made crm.db\n"
    assert made.stderr.startswith("next: crmflow record import")
    assert bare.store.stat().st_mode & 0o777 == 0o600


def test_init_leaves_what_is_there(crm: "Crm") -> None:
    """A second `init` is refused, and the store is as it was."""
    assert crm.refused("init") == "error: crm.db is there already\nhint: choose another place with --db PATH\n"


def test_init_makes_the_directories_on_the_way(bare: "Crm") -> None:
    """A store may lie in directories that are not there yet; they are their owner's alone, too."""
    assert bare.json("init", "--db", "a/b/crm.db") == {"store": "a/b/crm.db"}
    assert (bare.directory / "a").stat().st_mode & 0o777 == 0o700


def test_the_store_lies_in_the_users_data(bare: "Crm") -> None:
    """Without `--db` and CRMFLOW_DB, `init` and all others use the user's data directory."""
    home = {"CRMFLOW_DB": "", "XDG_DATA_HOME": str(bare.directory / "data")}
    bare("init", env=home)
    assert (bare.directory / "data/crmflow/crmflow.db").exists()
    assert "no records" in bare("status", env=home).stdout


def test_the_option_beats_the_variable(crm: "Crm") -> None:
    """`--db` names the store whatever CRMFLOW_DB says."""
    crm("init", "--db", "other.db")
    assert crm.json("enrollment", "list", "--db", "other.db") == []
    assert len(crm.json("enrollment", "list")) == 6


def test_the_demo_shows_who_left(bare: "Crm") -> None:
    """`demo` prints a line for each exit with its cause and line of the log, and says where log and store are."""
    ran = bare("demo", "--db", "demo.db")
    workflow, record, left_at, by, line = ran.stdout.splitlines()[0].split("\t")
    assert (workflow, record[:2], left_at[:4]) == ("closing", "d-", "2026")
    assert by in {"completed", "deal_lost", "deal_won"}
    assert line.isdigit()
    assert "the store: demo.db" in ran.stderr
    assert "events.jsonl" in ran.stderr


def test_the_demo_has_a_place_of_its_own(crm: "Crm") -> None:
    """Without `--db` the demo's store is `demo.db` beside the user's own store, which it does not touch."""
    before = crm.tables()
    assert crm.json("demo")["store"] == "demo.db"
    assert crm.tables() == before


def test_the_demo_can_be_made_again(bare: "Crm") -> None:
    """A second `demo` replaces the first one's store, says so, and ends in the same state."""
    first = bare.json("demo", "--db", "demo.db", "--quiet")
    second = bare.json("demo", "--db", "demo.db", "--quiet")
    assert list(first) == ["store", "replaced", "log", "ingest", "exits"]
    assert (first["replaced"], second["replaced"]) == (False, True)
    assert second["exits"] == first["exits"]


def test_the_demo_spares_another_store(crm: "Crm") -> None:
    """`demo` does not touch a store that no demo made."""
    assert "crm.db is a store that no demo made" in crm.refused("demo", "--db", "crm.db")


def test_the_demo_names_the_lines_that_decided(bare: "Crm") -> None:
    """Each exit of `demo` by an event names the line of the log in which the event is."""
    made = bare.json("demo", "--db", "demo.db")
    lines = Path(made["log"]).read_text(encoding="utf-8").split("\n")
    events = [each["exit"]["event"] for each in made["exits"] if each["exit"]["event"]]
    named = [json.loads(lines[event["line"] - 1]) for event in events]
    assert [(each.get("id"), each["type"]) for each in named] == [(each["id"], each["type"]) for each in events]
    assert bare.json("doctor", "--db", "demo.db")["sound"]


def test_status_counts(crm: "Crm") -> None:
    """`status --json` counts records, and for each workflow active by step, completed, disenrolled by cause."""
    crm("advance", "--workflow", "welcome", "--at", "2026-03-01T00:00:00Z")
    crm("disenroll", "p-1", "--workflow", "welcome")
    crm.log("events.jsonl", {"type": "replied", "time": "2026-03-02T00:00:00Z", "prospect": "p-2"})
    crm("ingest", "events.jsonl")
    now = crm.json("status")
    assert list(now) == ["store", "records", "workflows", "rejects"]
    assert now["records"] == {"deal": 2, "organization": 1, "prospect": 4}
    assert [each["workflow"] for each in now["workflows"]] == ["closing", "nurture", "onboarding", "welcome"]
    assert now["workflows"][-1] == {
        "workflow": "welcome",
        "type": "prospect",
        "in_force": True,
        "enrolled": 3,
        "active": 1,
        "active_by_last_step": [
            {"step": None, "count": 0},
            {"step": "intro", "count": 1},
            {"step": "follow-up", "count": 0},
        ],
        "completed": 0,
        "disenrolled": 2,
        "disenrolled_by_cause": {"manual": 1, "replied": 1},
    }


def test_status_is_for_reading(crm: "Crm") -> None:
    """`status` tells the same in lines with bars; `--quiet` does not take away what was asked for."""
    shown = crm("status", "--quiet").stdout
    assert "2 deals, 1 organization, 4 prospects" in shown
    assert "welcome: 3 enrolled" in shown
    assert "3 active, 0 completed, 0 disenrolled" in shown
    assert "█" in shown


def test_status_of_an_empty_store_says_what_to_do(bare: "Crm") -> None:
    """Where there is nothing yet, `status` names the command that changes that."""
    bare("init")
    assert bare("status").stdout == "store crm.db: no records\nno workflows: crmflow workflow apply FILE...\n"


def test_the_doctor_finds_a_sound_store_sound(crm: "Crm") -> None:
    """`doctor` ends with 0 and says that the store is sound."""
    assert crm("doctor").stdout.endswith("the store is sound\n")
    examined = crm.json("doctor")
    assert list(examined) == ["store", "sound", "findings"]
    assert examined["sound"]


def test_the_doctor_names_a_fault_and_its_cure(crm: "Crm") -> None:
    """A store that others can read is a fault: `doctor` ends with 1 and says what to do."""
    crm.store.chmod(0o644)
    examined = crm.json("doctor", status=1)
    assert not examined["sound"]
    assert examined["findings"][0] == {
        "what": "crm.db can be read by others (mode 644)",
        "hint": "chmod 600 crm.db",
        "is_fault": True,
    }


def test_the_doctor_notes_a_log_that_shrank(crm: "Crm") -> None:
    """A log that is shorter than what was read of it is a note, no fault."""
    crm.log("events.jsonl", {"type": "replied", "time": "2026-03-02T00:00:00Z", "prospect": "p-2"})
    crm("ingest", "events.jsonl")
    crm.write("events.jsonl", "")
    assert "is shorter than what was read of it" in crm("doctor").stdout


def test_a_backup_is_a_store(crm: "Crm") -> None:
    """`backup` makes a copy that holds all that the store holds and belongs to its owner alone."""
    said = crm.json("backup", "copy.db")
    copy = crm.directory / "copy.db"
    assert said == {"path": "copy.db", "bytes": copy.stat().st_size}
    assert copy.stat().st_mode & 0o777 == 0o600
    assert crm.json("enrollment", "list", "--db", "copy.db") == crm.json("enrollment", "list")
    assert crm.json("doctor", "--db", "copy.db")["sound"]


def test_a_backup_does_not_replace_a_file(crm: "Crm") -> None:
    """Where a file is already, `backup` is refused; with `--overwrite` it replaces the file."""
    crm.write("copy.db", "precious")
    assert "copy.db is there already" in crm.refused("backup", "copy.db")
    assert (crm.directory / "copy.db").read_text() == "precious"
    assert crm("backup", "copy.db", "--overwrite").stdout.startswith("copied the store to copy.db: ")


@pytest.mark.parametrize("name", ["crm.db", "./crm.db", "link.db"])
def test_a_backup_is_never_the_store_itself(crm: "Crm", name: str) -> None:
    """The store is not copied onto itself, under whatever name, even with `--overwrite`."""
    (crm.directory / "link.db").symlink_to("crm.db")
    assert f"{name} is the store itself" in crm.refused("backup", name, "--overwrite")


def test_a_backup_needs_a_directory(crm: "Crm") -> None:
    """A directory that is not there is not made up."""
    assert "there is no directory nowhere" in crm.refused("backup", "nowhere/copy.db")


def test_the_views_are_for_the_sqlite_shell(crm: "Crm") -> None:
    """The views `records`, `enrollments` and `exits` tell what `--json` tells."""
    crm("disenroll", "p-1", "--workflow", "welcome", "--at", "2026-03-02T00:00:00Z", "--note", "asked")
    with closing(sqlite3.connect(crm.store)) as connection:
        listed = connection.execute("SELECT workflow, record, state FROM enrollments ORDER BY 1, 2").fetchall()
        exits = connection.execute("SELECT workflow, record, cause, note, stands FROM exits").fetchall()
        emails = connection.execute("SELECT email, json_extract(fields, '$.name') FROM records WHERE key = 'p-1'")
        assert emails.fetchall() == [("ana@acme.example", "Ana")]
    stated = json.loads(crm("enrollment", "list", "--json").stdout)
    assert listed == [(each["workflow"], each["record"], each["state"]) for each in stated]
    assert exits == [("welcome", "p-1", "manual", "asked", 1)]
