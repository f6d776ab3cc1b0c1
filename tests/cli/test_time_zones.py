"""The same input gives the same bytes under any time zone, locale and hash seed."""

from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import pytest

Run = Callable[..., CompletedProcess[str]]

WORKFLOW = """
workflow: welcome
type: prospect
steps:
  - {name: intro, kind: email, after: 36h}
disenrollment_triggers:
  - trigger: replied
"""
EVENTS = """\
{"id": "dst", "type": "replied", "time": "2026-03-29T02:30:00+01:00", "prospect": "p-1"}
{"id": "leap", "type": "replied", "time": "2024-02-29T23:59:60Z", "prospect": "p-2"}
{"id": "fraction", "type": "replied", "time": "2026-03-29T00:00:00.123456789-11:45", "prospect": "p-3"}
{"id": "first", "type": "replied", "time": "0001-01-01T00:00:00Z", "prospect": "p-4"}
{"id": "before", "type": "replied", "time": "0001-01-01T00:00:00+14:00", "prospect": "p-4"}
{"id": "skewed", "type": "replied", "time": "9999-12-31T23:59:59Z", "prospect": "p-4"}
{"id": "no-day", "type": "replied", "time": "2025-02-29T00:00:00Z", "prospect": "p-4"}
"""
EXITED_AT = {
    "p-1": "2026-03-29T01:30:00Z",
    "p-2": "2024-02-29T23:59:59.999999Z",
    "p-3": "2026-03-29T11:45:00.123456Z",
}


def _story(run: Run, directory: Path, environment: dict[str, str]) -> str:
    """Return all that a short life of a store prints."""
    directory.mkdir()
    (directory / "welcome.yaml").write_text(WORKFLOW)
    (directory / "events.jsonl").write_text(EVENTS)
    (directory / "people.csv").write_text("key,name\n" + "".join(f"p-{each},Zoë\n" for each in range(1, 6)))

    def call(*arguments: str) -> str:
        done = run("-m", "crmflow", "--db", str(directory / "crm.db"), *arguments, env=environment)
        assert "Traceback" not in done.stderr
        return done.stdout.replace(str(directory), "")

    at = ("--at", "0001-01-01T00:00:00Z")
    return "".join(
        [
            call("init"),
            call("workflow", "apply", str(directory / "welcome.yaml"), *at),
            call("record", "import", "prospect", str(directory / "people.csv"), *at),
            call("bulk-enroll", "--workflow", "welcome", str(directory / "people.csv"), *at),
            call("ingest", str(directory / "events.jsonl"), "--json"),
            call("enrollment", "list"),
            call("due", "--at", "0001-01-02T12:00:00Z"),
            call("advance", "--workflow", "welcome", "--at", "9999-12-31T23:59:59.5Z"),
            call("record", "list", "prospect"),
            call("rejects", "list"),
        ]
    )


@pytest.mark.parametrize(
    "environment",
    [
        {"TZ": "America/St_Johns", "LANG": "tr_TR.UTF-8", "PYTHONHASHSEED": "1"},
        {"TZ": "Pacific/Apia", "LC_ALL": "C", "PYTHONHASHSEED": "2"},
    ],
)
def test_neither_time_zone_nor_locale_matters(run: Run, tmp_path: Path, environment: dict[str, str]) -> None:
    """Daylight saving, leap seconds, fractions, the first and the last year: the same bytes everywhere."""
    here = _story(run, tmp_path / "here", {"TZ": "UTC", "LC_ALL": "C.UTF-8", "PYTHONHASHSEED": "0"})
    assert _story(run, tmp_path / "there", environment) == here
    left = {cells[1]: cells[5] for line in here.splitlines() if len(cells := line.split("\t")) == 9}
    assert {key: left[key] for key in EXITED_AT} == EXITED_AT
    assert left["p-4"] == "0001-01-01T00:00:00Z"
