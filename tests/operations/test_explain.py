"""Explaining: why a record left a workflow when it did, or why it has not."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from crmflow.core.errors import CrmflowError, UsageError
from crmflow.core.identity import identity_of_id
from crmflow.core.model import Moment
from crmflow.operations import advance, disenroll, edit_record, enroll, workflows
from crmflow.operations.explain import Explained, explain
from crmflow.operations.story import Entry, Stay, Story
from tests.operations.places import LOG, NOW, Place, said

START = datetime(2026, 3, 1, tzinfo=UTC)
WELCOME = """\
workflow: welcome
type: prospect
steps:
  - {name: intro, kind: email, after: 0d}
  - {name: call, kind: task, after: 1d}
disenrollment_triggers:
  - trigger: link_clicked
  - trigger: replied
  - {trigger: page_visited, url: https://www.acme.example/pricing*}
  - {trigger: page_visited, url: www.acme.example/demo}
  - {trigger: field_updated, field: status, to: [customer, lost]}
  - {trigger: field_updated, field: owner}
"""


def apply(place: Place, text: str = WELCOME, name: str = "welcome.yaml") -> str:
    """Put a workflow in force, and return the path of its file."""
    place.path(name).write_text(text, encoding="utf-8")
    workflows.apply(place.store, [str(place.path(name))], Moment(NOW, NOW))
    return str(place.path(name))


def enter(place: Place, ref: str = "prospect:p-1", workflow: str = "welcome", hours: int = 0) -> int:
    """Enroll a record so many hours after the start, and return the run."""
    run = enroll.enroll(place.store, ref, workflow, Moment(START + timedelta(hours=hours), NOW)).run
    assert run is not None
    return run


def explained(place: Place, *given: str, ref: str = "prospect:p-1", workflow: str | None = None) -> Explained:
    """Explain a record, with logs beside the store."""
    return explain(place.store, ref, workflow, [str(place.path(name)) for name in given], NOW)


def story(place: Place, *given: str, ref: str = "prospect:p-1") -> Story:
    """Return the one story of a record, nothing of which is gone."""
    found = explained(place, *given, ref=ref)
    assert (found.gone, found.faults) == ([], [])
    [only] = found.stories
    return only


def stay(place: Place, *given: str, ref: str = "prospect:p-1") -> Stay:
    """Return the last enrollment of the one story of a record."""
    return story(place, *given, ref=ref).enrollments[-1]


def short(entries: tuple[Entry, ...]) -> list[tuple[str, str, str | None]]:
    """Return entries by day and hour, what and by."""
    return [(each.time[8:13], each.what, each.by) for each in entries]


def visited(number: int, page: str) -> dict[str, object]:
    """Return what a visit says."""
    return said(number, type="page_visited", url=f"https://www.acme.example/{page}")


def change(place: Place, sql: str, *values: object) -> None:
    """Change the store as a later command would."""
    with place.store.change():
        place.store.execute(sql, values)


def test_the_story_of_one_who_left(place: Place) -> None:
    """Every entry says when, what, by which run, by which line of which log, and which line of which file decided."""
    path = apply(place)
    enter(place)
    advance.advance(place.store, Moment(START + timedelta(hours=1), NOW))
    place.log(said(2, "p-2"), said(30, type="step_completed", workflow="welcome", step="intro", id="s"), said(50))
    run = place.ingest()
    told = story(place)
    assert (told.workflow, told.type, told.record, told.in_force) == ("welcome", "prospect", "p-1", True)
    [only] = told.enrollments
    assert (only.state, only.enrolled_at, only.step, only.exited_at, only.waiting) == (
        "disenrolled",
        "2026-03-01T00:00:00Z",
        "intro",
        "2026-03-03T02:00:00Z",
        None,
    )
    assert short(only.timeline) == [
        ("01T00", "enrolled", None),
        ("01T01", "step", "intro"),
        ("02T06", "step", "intro"),
        ("03T02", "exit", "replied"),
    ]
    begun, by_hand, by_event, left = only.timeline
    assert [each.run and each.run.command for each in only.timeline] == ["enroll", "advance", "ingest", "ingest"]
    assert begun.event is None
    assert by_hand.event is None
    assert by_event.event is not None
    assert (by_event.event.id, by_event.event.source, by_event.event.line) == ("s", str(place.path()), 2)
    assert left.event is not None
    assert left.trigger is not None
    assert (left.event.id, left.event.type, left.event.line, left.stands) == ("e-50", "replied", 3, True)
    assert left.run is not None
    assert (left.run.run, left.run.undone_by) == (run, None)
    assert (left.trigger.trigger, left.trigger.path, left.trigger.lines) == ("replied", path, (8,))
    assert len(left.trigger.digest) == 64


def test_an_exit_that_moved_was_undone_and_restored(place: Place) -> None:
    """An exit that stands no more says which run superseded it; undone runs and restored exits are shown as such."""
    apply(place)
    enter(place)
    place.log(said(5))
    late = place.ingest()
    place.log(said(3), name="other.jsonl")
    early = place.ingest("other.jsonl")
    first, second = stay(place).timeline[1:]
    assert (first.event and first.event.id, first.stands, first.superseded_by) == ("e-3", True, None)
    assert second.superseded_by is not None
    assert (second.event and second.event.id, second.stands, second.superseded_by.run) == ("e-5", False, early)
    place.undo(early)
    change(place, "UPDATE exit SET superseded_run_id = run_id WHERE run_id = ?", early)
    change(place, "UPDATE exit SET superseded_run_id = NULL, restored_run_id = ? WHERE run_id = ?", early, late)
    change(place, "UPDATE enrollment SET exit_id = (SELECT id FROM exit WHERE run_id = ?)", late)
    first, second = stay(place).timeline[1:]
    assert (first.stands, first.run and first.run.undone_by) == (False, early)
    assert (second.stands, second.restored_by and second.restored_by.run) == (True, early)


def test_which_of_several_triggers(place: Place) -> None:
    """Of several triggers of one word the one is named that took the event; all of them where that is not known."""
    apply(place)
    enter(place)
    place.log(visited(2, "demo"))
    place.ingest()
    exit_ = stay(place).timeline[-1]
    assert exit_.trigger is not None
    assert exit_.event is not None
    assert (exit_.trigger.lines, exit_.event.says) == ((10,), "https://www.acme.example/demo")
    place.path().unlink()
    [told] = explained(place).stories
    exit_ = told.enrollments[0].timeline[-1]
    assert exit_.trigger is not None
    assert exit_.event is not None
    assert (exit_.trigger.lines, exit_.event.says, exit_.event.line) == ((9, 10), "", 1)


def test_an_update_by_hand(place: Place) -> None:
    """A field that a person set has no log; the store knows what was set, and so which trigger took it."""
    apply(place)
    enter(place)
    edit_record.set_fields(place.store, "prospect:p-1", ["owner=mara"], Moment(START + timedelta(hours=9), NOW))
    exit_ = stay(place).timeline[-1]
    assert exit_.event is not None
    assert exit_.trigger is not None
    assert (exit_.event.says, exit_.event.source, exit_.trigger.lines) == ("owner=mara", None, (12,))
    assert exit_.run is not None
    assert exit_.run.command == "record set"


def test_an_exit_by_hand(place: Place) -> None:
    """An exit by hand has a note and no trigger."""
    apply(place)
    enter(place)
    disenroll.disenroll(place.store, "prospect:p-1", None, Moment(START + timedelta(hours=9), NOW), note="by phone")
    exit_ = stay(place).timeline[-1]
    assert (exit_.what, exit_.by, exit_.event, exit_.trigger, exit_.note) == ("exit", "manual", None, None, "by phone")


def test_what_came_too_late(place: Place) -> None:
    """Events that would have ended an enrollment after it had ended are told, until the next enrollment begins."""
    apply(place)
    enter(place)
    place.log(said(1, type="conversation_started"), said(2), said(4), visited(5, "blog"), said(30))
    place.ingest()
    enter(place, hours=20)
    place.ingest(from_start=True)
    first, second = story(place).enrollments
    assert short(first.timeline) == [
        ("01T00", "enrolled", None),
        ("01T02", "exit", "replied"),
        ("01T04", "match", "replied"),
    ]
    assert first.timeline[-1].why == "it happened after the exit, 2026-03-01T02:00:00Z"
    assert short(second.timeline) == [("01T20", "enrolled", None), ("02T06", "exit", "replied")]


def test_retracted_events(place: Place) -> None:
    """An event that is retracted is told, with the run and the reason, unless the retraction was taken back."""
    apply(place)
    enter(place)
    place.log(said(2))
    run = place.ingest()
    retract = "INSERT INTO retraction (identity, because, run_id) VALUES (?, 'a robot', ?)"
    change(place, retract, identity_of_id("e-2"), run)
    exit_ = stay(place).timeline[-1]
    assert exit_.retracted is not None
    assert (exit_.retracted.run.run, exit_.retracted.because) == (run, "a robot")
    place.log(said(1))
    change(place, retract, identity_of_id("e-1"), run)
    match = stay(place, LOG).timeline[1]
    assert match.retracted is not None
    assert match.why == "it is retracted: a robot"
    change(place, "UPDATE retraction SET taken_back_run_id = ?", run)
    assert all(each.retracted is None for each in stay(place, LOG).timeline)
    place.path().unlink()
    change(place, "UPDATE retraction SET taken_back_run_id = NULL")
    assert explained(place).stories[0].enrollments[0].timeline[-1].retracted is not None


def near(place: Place, *given: str) -> dict[int, list[tuple[str, str]]]:
    """Return what came near each trigger, by the line of the trigger: the event's id and the reason."""
    waiting = stay(place, *given).waiting
    assert waiting is not None
    found = {each.trigger.lines[0]: [(each.event.id or "", each.reason) for each in each.near] for each in waiting}
    return {line: reasons for line, reasons in found.items() if reasons}


def test_what_came_near(place: Place) -> None:
    """Of one who is still in, each trigger says what it waits for, and which events came near and failed what first."""
    apply(place)
    apply(place, "workflow: nurture\ntype: prospect\n", "nurture.yaml")
    enter(place, hours=10)
    place.log(
        said(1),
        said(11, type="link_clicked", workflow="nurture"),
        said(12, type="link_clicked", workflow="gone"),
        visited(13, "blog"),
        visited(2, "pricing"),
        said(14, type="field_updated", field="status", value="contacted"),
        said(15, type="field_updated", field="owner", value="x", old="x"),
        said(16, type="hard_bounced"),
    )
    place.ingest()
    assert near(place) == {
        7: [("e-11", "workflow"), ("e-12", "unknown_workflow")],
        8: [("e-1", "before")],
        9: [("e-2", "before"), ("e-13", "page")],
        10: [("e-2", "page"), ("e-13", "page")],
        11: [("e-14", "value"), ("e-15", "field")],
        12: [("e-14", "field"), ("e-15", "unchanged")],
    }
    waiting = stay(place).waiting
    assert waiting is not None
    assert [each.waits_for for each in waiting] == [
        "a click on a link in an email of welcome",
        "a reply to an email of any workflow",
        "a visit to https://www.acme.example/pricing*",
        "a visit to www.acme.example/demo",
        "an update of status to customer or lost",
        "an update of owner",
    ]
    assert [each.near[0].run and each.near[0].run.command for each in waiting] == ["ingest"] * 6


def matches(place: Place, *given: str) -> list[tuple[str | None, str | None]]:
    """Return the events that a trigger takes and that do not count: the event's id, and why."""
    found = [each for each in stay(place, *given).timeline if each.what == "match"]
    return [(each.event.id if each.event else None, each.why) for each in found]


def test_logs_that_need_not_have_been_read(place: Place) -> None:
    """A given log is looked through, read or not, and an event that is not read yet says how to read it."""
    apply(place)
    enter(place)
    place.log(said(3), visited(2, "blog"), name="new.jsonl")
    path = place.path("new.jsonl")
    assert near(place, "new.jsonl") == {9: [("e-2", "page")], 10: [("e-2", "page")]}
    assert matches(place, "new.jsonl") == [("e-3", f"it is not read yet: crmflow ingest {path}")]
    assert matches(place) == []
    place.ingest("new.jsonl")
    assert short(stay(place, "new.jsonl").timeline) == [("01T00", "enrolled", None), ("01T03", "exit", "replied")]


def test_events_that_were_read_too_early(place: Place) -> None:
    """An event that was read before the enrollment was made, or the rules were in force, says to read it again."""
    place.log(said(3))
    place.ingest()
    apply(place)
    begun = enter(place)
    [(event, why)] = matches(place)
    assert (event, why) == (
        "e-3",
        f"it was read before run {begun} made the enrollment: read it again with ingest --from-start",
    )
    place.log(visited(4, "contact"))
    place.ingest()
    apply(place, WELCOME.replace("demo", "contact"))
    assert (matches(place)[1][1] or "").startswith(f"it was read before run {begun + 2} put these rules in force")
    place.log(said(5, "later@acme.example"))
    place.ingest()
    edit_record.set_fields(place.store, "prospect:p-1", ["email=later@acme.example"], Moment(NOW, NOW))
    assert (matches(place)[2][1] or "").startswith("it was read, but perhaps before later@acme.example was known")
    place.ingest(from_start=True)
    assert [each[0] for each in matches(place)] == ["e-4", "e-5"]
    assert stay(place).exited_at == "2026-03-01T03:00:00Z"


def test_an_event_that_two_logs_tell_is_one(place: Place) -> None:
    """What is told twice is told once, by the log that told it first."""
    apply(place)
    enter(place, hours=10)
    place.log(said(1), said(1))
    place.log(said(1), name="copy.jsonl")
    place.ingest()
    place.ingest("copy.jsonl")
    place.log(said(1), name="third.jsonl")
    assert near(place, "third.jsonl") == {8: [("e-1", "before")]}


def test_a_record_that_was_never_in(place: Place) -> None:
    """A record that was never in a workflow has a story without enrollments in it, and no story at all without one."""
    apply(place)
    assert explained(place).stories == []
    [told] = explained(place, workflow="welcome").stories
    assert (told.workflow, told.in_force, told.enrollments, told.withdrawn) == ("welcome", True, (), ())


def test_an_enrollment_that_was_withdrawn(place: Place) -> None:
    """An enrollment that was taken back says which run made it and which withdrew it."""
    apply(place)
    run = enter(place)
    change(
        place,
        "INSERT INTO withdrawn_enrollment SELECT id, record_id, workflow_id, enrolled_at, run_id, ? FROM enrollment",
        run,
    )
    change(place, "DELETE FROM enrollment")
    place.undo(run)
    told = story(place)
    assert told.enrollments == ()
    [withdrawn] = told.withdrawn
    assert (withdrawn.enrolled_at, withdrawn.run.undone_by, withdrawn.withdrawn_by.run) == (
        "2026-03-01T00:00:00Z",
        run,
        run,
    )


def test_every_workflow_of_a_record(place: Place) -> None:
    """Without a workflow every one is told that the record is or was in, in the order of names."""
    apply(place)
    apply(place, "workflow: nurture\ntype: prospect\n", "nurture.yaml")
    enter(place)
    enter(place, workflow="nurture")
    told = explained(place).stories
    assert [(each.workflow, each.enrollments[0].waiting and len(each.enrollments[0].waiting)) for each in told] == [
        ("nurture", ()),
        ("welcome", 6),
    ]
    assert [each.workflow for each in explained(place, workflow="welcome").stories] == ["welcome"]


def test_a_workflow_that_was_removed(place: Place) -> None:
    """A workflow that is not in force any more keeps its stories, by the rules that decided."""
    apply(place)
    enter(place)
    place.log(said(2), said(3))
    place.ingest()
    workflows.remove(place.store, "welcome", Moment(NOW, NOW), with_disenrolling=False)
    told = story(place)
    assert told.in_force is False
    assert short(told.enrollments[0].timeline)[1:] == [("01T02", "exit", "replied"), ("01T03", "match", "replied")]


def test_deals_and_organizations(place: Place) -> None:
    """Deals and organizations have stories, too: a deal's status and its winning are one."""
    triggers = "disenrollment_triggers: [{trigger: deal_won}, {trigger: field_updated, field: status, to: on_hold}]"
    apply(place, f"workflow: closing\ntype: deal\n{triggers}\n", "closing.yaml")
    apply(
        place, "workflow: care\ntype: organization\ndisenrollment_triggers: [{trigger: field_updated}]\n", "care.yaml"
    )
    enter(place, "deal:D-1", "closing")
    enter(place, "organization:9", "care")

    def update(kind: str, key: object, value: str) -> dict[str, object]:
        time = "2026-03-02T00:00:00Z"
        return {"id": value, "type": "field_updated", "time": time, kind: key, "field": "status", "value": value}

    place.log(update("deal", "D-1", "open"), update("organization", 9, "new"))
    place.ingest()
    assert [each.near[0].why for each in stay(place, ref="deal:D-1").waiting or ()] == [
        "status became open, not won",
        "status became open, not on_hold",
    ]
    exit_ = stay(place, ref="organization:9").timeline[-1]
    assert (exit_.by, exit_.event and exit_.event.says) == ("field_updated", "status=new")


def test_logs_that_are_gone(place: Place) -> None:
    """Logs that are gone are named if they could tell something; one that was moved is found if it is given."""
    place.log(said(1), name="before.jsonl")
    place.ingest("before.jsonl", now=START - timedelta(days=2))
    apply(place)
    enter(place)
    place.log(visited(2, "blog"))
    run = place.ingest()
    place.path("before.jsonl").unlink()
    place.path().rename(place.path("archived"))
    assert [(each.path, each.run) for each in explained(place).gone] == [(str(place.path()), run)]
    found = explained(place, "archived")
    assert found.gone == []
    [told] = found.stories
    [waiting] = [each for each in told.enrollments[0].waiting or () if each.trigger.lines == (9,)]
    assert [(each.event.source, each.run and each.run.run) for each in waiting.near] == [(str(place.path()), run)]


def test_given_logs_that_can_not_be_read(place: Place) -> None:
    """A given log that is missing or broken is a fault beside the story; a directory and the store are refused."""
    apply(place)
    enter(place)
    place.path("broken.gz").write_bytes(b"\x1f\x8b\x08broken")
    found = explained(place, "nothing.jsonl", "broken.gz")
    assert [each.partition(":")[0] for each in found.faults] == [
        f"cannot read {place.path('nothing.jsonl')}",
        str(place.path("broken.gz")),
    ]
    assert len(found.stories) == 1
    with pytest.raises(UsageError, match="is a directory"):
        explained(place, ".")
    with pytest.raises(CrmflowError, match="is the store itself"):
        explained(place, "crm.db")


@pytest.mark.parametrize(("ref", "workflow"), [("prospect:nobody", None), ("prospect:p-1", "gone"), ("p-1", None)])
def test_what_is_not_there(place: Place, ref: str, workflow: str | None) -> None:
    """A record or workflow that is not there is an error."""
    with pytest.raises(CrmflowError):
        explained(place, ref=ref, workflow=workflow)


def test_a_story_is_plain_data(place: Place) -> None:
    """The JSON of a story has the same keys everywhere, null where there is nothing to say."""
    apply(place)
    enter(place)
    document: dict[str, Any] = story(place).as_json()
    assert list(document) == ["workflow", "type", "record", "in_force", "enrollments", "withdrawn"]
    [only] = document["enrollments"]
    assert list(only) == ["state", "enrolled_at", "step", "exited_at", "timeline", "waiting"]
    assert only["timeline"][0]["run"] == {
        "run": only["timeline"][0]["run"]["run"],
        "command": "enroll",
        "undone_by": None,
    }
    assert list(only["waiting"][0]) == ["trigger", "waits_for", "near"]
