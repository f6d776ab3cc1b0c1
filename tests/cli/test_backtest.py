"""`crmflow backtest`: what other rules would have done, in the terminal, in a pipe and in scripts."""

import csv
import io
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.cli.conftest import Crm

Run = Callable[..., subprocess.CompletedProcess[str]]

BEGAN = "2026-03-01T00:00:00Z"
REPLIED_AT, BOUNCED_AT = "2026-03-02T10:00:00Z", "2026-03-05T11:30:00Z"
ROWS = [
    f"welcome\tp-1\t{BEGAN}\tstays\t{REPLIED_AT}\treplied\t-\t-\t-\t0\t0\t1\t2",
    f"welcome\tp-2\t{BEGAN}\tlater\t{REPLIED_AT}\treplied\t{BOUNCED_AT}\thard_bounced\t3d 1h later\t0\t0\t1\t2",
]
"""What the new rules change: p-1 stays, and p-2 leaves when its email bounces."""


@pytest.fixture
def read(crm: "Crm") -> "Crm":
    """Return the small CRM, which has read a log; beside it lies the workflow without its trigger for replies."""
    event = {"time": REPLIED_AT, "type": "replied"}
    crm.log("events.jsonl", *({**event, "id": f"e-{key}", "prospect": key} for key in ("p-1", "p-2")))
    crm.log("events.jsonl", {"time": BOUNCED_AT, "type": "hard_bounced", "prospect": "p-2"})
    crm("ingest", "events.jsonl")
    text = (crm.directory / "welcome.yaml").read_text(encoding="utf-8")
    crm.write("new.yaml", text.replace("  - trigger: replied\n", ""))
    return crm


def test_a_row_for_each_difference(read: "Crm") -> None:
    """In a pipe rows are printed, words say what they come to, and the store stays as it is."""
    before = read.tables()
    ran = read("backtest", "--workflow", "new.yaml", "events.jsonl")
    assert ran.stdout.splitlines() == ROWS
    assert ran.stderr == "welcome: 3 enrolled; 1 would stay, 1 later; steps due: 2 saved, 0 lost\n"
    assert read.tables() == before
    assert read("backtest", "--workflow", "new.yaml", "events.jsonl", "--quiet").stderr == ""


def test_the_rules_in_force_make_no_difference(read: "Crm") -> None:
    """Rules that mean the same change nothing, however they are laid out."""
    text = (read.directory / "welcome.yaml").read_text(encoding="utf-8")
    ran = read("backtest", "--workflow", read.write("same.yaml", f"# the same\n{text}"), "events.jsonl")
    assert (ran.stdout, ran.stderr) == ("", "welcome: 3 enrolled; both definitions mean the same\n")
    unlike = text.replace("Greets", "Welcomes")
    ran = read("backtest", "--workflow", read.write("words.yaml", unlike), "events.jsonl")
    assert ran.stderr == "welcome: 3 enrolled, none of whom would come out differently\n"
    ran = read("backtest", "--workflow", read.write("other.yaml", "workflow: w\ntype: deal\n"), "events.jsonl")
    assert ran.stderr == "w: nobody is or was enrolled\n"


def test_json_is_one_document(read: "Crm") -> None:
    """`--json` holds the totals of each workflow, and of each difference the exits with what proves them."""
    document = read.json("backtest", "--workflow", "new.yaml", "events.jsonl")
    [workflow] = document["workflows"]
    assert workflow == {
        "workflow": "welcome",
        "type": "prospect",
        "path": "new.yaml",
        "against": "welcome.yaml",
        "is_same": False,
        "enrolled": 3,
        "by": [
            {"by": None, "before": 1, "after": 2},
            {"by": "replied", "before": 2, "after": 0},
            {"by": "hard_bounced", "before": 0, "after": 1},
        ],
        "stays": 1,
        "leaves": 0,
        "earlier": 0,
        "later": 1,
        "otherwise": 0,
        "steps": {"done": {"saved": 0, "lost": 0}, "due": {"saved": 2, "lost": 0}},
    }
    assert document["rows"][1] == {
        "workflow": "welcome",
        "type": "prospect",
        "record": "p-2",
        "enrolled_at": BEGAN,
        "what": "later",
        "before": {
            "exited_at": REPLIED_AT,
            "by": "replied",
            "event": {"id": "e-p-2", "type": "replied", "source": "events.jsonl", "line": 2},
        },
        "after": {
            "exited_at": BOUNCED_AT,
            "by": "hard_bounced",
            "event": {"id": None, "type": "hard_bounced", "source": "events.jsonl", "line": 3},
        },
        "seconds": 264600,
        "steps": {"done": {"before": 0, "after": 0}, "due": {"before": 1, "after": 2}},
    }
    assert document["rows"][0]["after"] is document["rows"][0]["seconds"] is None
    counts = {name: document[name] for name in ("unlike_store", "lines", "rejected", "incomplete")}
    assert counts == {"unlike_store": 0, "lines": 3, "rejected": 0, "incomplete": 0}


def test_csv_has_a_header(read: "Crm") -> None:
    """`--csv` prints the same rows for spreadsheets."""
    printed = read("backtest", "--workflow", "new.yaml", "events.jsonl", "--csv").stdout
    first, second = csv.DictReader(io.StringIO(printed, newline=""))
    assert (first["record"], first["change"], first["after_at"]) == ("p-1", "stays", "")
    assert (second["difference"], second["steps_due_before"], second["steps_due_after"]) == ("3d 1h later", "1", "2")


def test_a_terminal_shows_tables(read: "Crm", terminal: Run, environment: Mapping[str, str]) -> None:
    """On a terminal each workflow has its totals, who would stay or leave, and who at another time."""
    command = ("-m", "crmflow", "--db", str(read.store), "backtest", "--workflow", "new.yaml", "events.jsonl")
    shown = re.sub(r"\x1b\[[\d;?]*[a-zA-Z]", "", terminal(*command, columns=120, env=environment).stdout)
    lines = [" ".join(line.split()) for line in shown.splitlines()]
    assert lines[lines.index("welcome: 3 enrolled; before: in force, after: new.yaml") :] == [
        "welcome: 3 enrolled; before: in force, after: new.yaml",
        "left by before after difference",
        "(still in) 1 2 +1",
        "replied 2 0 -2",
        "hard_bounced 0 1 +1",
        "",
        "welcome: who would stay",
        "record enrolled at left at by steps done steps due",
        "p-1 2026-03-01T00:00:00Z 2026-03-02T10:00:00Z replied - +1",
        "",
        "welcome: who would leave at another time, or by something else",
        "record before by after by difference steps done steps due",
        "p-2 2026-03-02T10:00:00Z replied 2026-03-05T11:30:00Z hard_bounced 3d 1h later - +1",
        "welcome: 3 enrolled; 1 would stay, 1 later; steps due: 2 saved, 0 lost",
    ]


def test_other_formats_are_read_as_ingest_reads_them(read: "Crm") -> None:
    """The format of a log shows by how it begins, and `--format` says it for all of them."""
    bounce = {
        "event": "bounce",
        "type": "bounce",
        "timestamp": 1772359200,
        "email": "cy@acme.example",
        "sg_event_id": "b",
    }
    read.write("sendgrid.json", json.dumps([{**bounce, "type": "bounce"}]))
    without = (read.directory / "welcome.yaml").read_text(encoding="utf-8").replace("  - trigger: hard_bounced\n", "")
    command = ("backtest", "--workflow", read.write("without.yaml", without), "events.jsonl", "sendgrid.json")
    [bounced, *_] = read.json(*command)["rows"]
    assert (bounced["record"], bounced["what"], bounced["before"]["by"]) == ("p-3", "stays", "hard_bounced")
    read(*command, "--format", "sendgrid", status=3)
    read(*command, "--format", "unheard-of", status=2)


def test_two_files_are_compared(read: "Crm") -> None:
    """`--against` stands for the rules in force; exchanging the files exchanges who comes before whom."""
    ran = read("backtest", "--workflow", "welcome.yaml", "--against", "new.yaml", "events.jsonl")
    assert [row.split("\t")[3] for row in ran.stdout.splitlines()] == ["leaves", "earlier"]
    assert "1 would leave, 1 earlier; steps due: 0 saved, 2 lost" in ran.stderr


def test_without_a_store_everybody_may_be_enrolled(read: "Crm") -> None:
    """`--enroll-all-at` needs no store: whom the logs name is in; without `--against` nobody left before."""
    command = ("backtest", "--workflow", "welcome.yaml", "events.jsonl", "--enroll-all-at", BEGAN)
    read.store.unlink()
    ran = read(*command)
    assert [row.split("\t")[1:8] for row in ran.stdout.splitlines()] == [
        [key, BEGAN, "leaves", "-", "-", REPLIED_AT, "replied"] for key in ("p-1", "p-2")
    ]
    assert not read.store.exists()
    assert read(*command, "--against", "new.yaml").stdout.splitlines()[1].split("\t")[3] == "earlier"
    assert read.json(*command)["workflows"][0]["against"] is None


def test_without_a_store_a_table_may_say_who_is_enrolled(read: "Crm") -> None:
    """`--enrollments` takes what `enrollment list --csv` prints; rows that can't be understood are warnings."""
    read.write("enrolled.csv", read("enrollment", "list", "--csv").stdout + "welcome,p-9,x\n")
    command = ("backtest", "--workflow", "new.yaml", "--against", "welcome.yaml", "--enrollments", "enrolled.csv")
    ran = read(*command, "events.jsonl", status=3)
    assert ran.stdout.splitlines() == ROWS
    assert "enrolled.csv: 3 rows of other workflows passed over\n" in ran.stderr
    assert "warning: enrolled.csv:8: 3 cells where the header has 9\n" in ran.stderr


@pytest.mark.parametrize(
    ("options", "what"),
    [
        (("--enroll-all-at", BEGAN, "--enrollments", "e.csv"), "exclude each other"),
        (("--enroll-all-at", BEGAN, "--db", "crm.db"), "are for a backtest without a store"),
        (("--enroll-all-at", "yesterday"), "--enroll-all-at: not an RFC 3339 time"),
        (("--against", "nurture.yaml"), "declares welcome, and no file after --against does"),
        (("closing.yaml",), "closing.yaml is a workflow file, not a log"),
    ],
)
def test_what_does_not_fit_is_wrong_usage(read: "Crm", options: tuple[str, ...], what: str) -> None:
    """Options that contradict each other, and a second workflow without its `--workflow`, are wrong usage."""
    assert what in read.refused("backtest", "--workflow", "new.yaml", "events.jsonl", *options, status=2)


def test_what_could_not_be_read_is_said(read: "Crm") -> None:
    """Rejected lines and logs that can't be read make the status 3; where no log can be read it is an error."""
    read.write("broken.jsonl", "not an event\n")
    ran = read("backtest", "--workflow", "new.yaml", "events.jsonl", "broken.jsonl", "missing.jsonl", status=3)
    assert ran.stdout.splitlines() == ROWS
    assert "warning: lines that were not understood: 1 (the first: broken.jsonl:1: not JSON" in ran.stderr
    assert ran.stderr.count("missing.jsonl") == 1
    said = read.refused("backtest", "--workflow", "new.yaml", "missing.jsonl")
    assert "none of the logs could be read: cannot read missing.jsonl: No such file or directory" in said
    assert "one.yaml:1:1: " in read.refused("backtest", "--workflow", read.write("one.yaml", "x"), "events.jsonl")


def test_logs_that_are_left_out_are_noticed(read: "Crm") -> None:
    """Where the store knows more than the logs that are given, the difference to it is said."""
    ran = read("backtest", "--workflow", "new.yaml", "/dev/stdin", stdin="\n")
    assert ran.stdout == ""
    assert "2 enrollments stand otherwise in the store than by the rules in force and these logs" in ran.stderr


def test_standard_input_is_a_log(read: "Crm") -> None:
    """`-` is read once for both rules, and called by its name."""
    lines = (read.directory / "events.jsonl").read_text(encoding="utf-8")
    document = json.loads(read("backtest", "--workflow", "new.yaml", "-", "--json", stdin=lines).stdout)
    assert [row["before"]["event"]["source"] for row in document["rows"]] == ["-", "-"]


def test_nothing_is_left_behind(read: "Crm") -> None:
    """What a trial needs lies in a directory of the user's own, which is gone at the end, whatever the end."""
    place = read.directory / "tmp"
    place.mkdir()
    env = {"TMPDIR": str(place)}
    read("backtest", "--workflow", "new.yaml", "events.jsonl", env=env)
    read("backtest", "--workflow", "new.yaml", "-", stdin="nothing\n", status=3, env=env)
    read("backtest", "--workflow", "new.yaml", "missing.jsonl", status=1, env=env)
    assert list(place.iterdir()) == []


def test_an_interrupted_backtest_leaves_nothing_behind(read: "Crm", environment: Mapping[str, str]) -> None:
    """Ctrl-C ends with 130; until then only the user can look into what lies in the temporary directory."""
    place = read.directory / "tmp"
    place.mkdir()
    os.mkfifo(read.directory / "pipe")
    process = subprocess.Popen(
        [sys.executable, "-m", "crmflow", "--db", "crm.db", "backtest", "--workflow", "new.yaml", "pipe"],
        cwd=read.directory,
        env={**environment, "TMPDIR": str(place)},
        stderr=subprocess.PIPE,
        text=True,
    )
    with (read.directory / "pipe").open("w") as pipe:  # the other end is open from here on
        pipe.write("{\n")
        pipe.flush()
        made = _first_in(place)
        assert made.stat().st_mode & 0o777 == 0o700
        process.send_signal(signal.SIGINT)
        assert "interrupted" in process.communicate()[1]
    assert process.returncode == 130
    assert list(place.iterdir()) == []


def _first_in(place: "os.PathLike[str]") -> os.DirEntry[str]:
    for _ in range(1000):
        if found := list(os.scandir(place)):
            return found[0]
        time.sleep(0.01)
    raise AssertionError(f"nothing was made in {place}")
