"""What a backtest finds, by examples: what people did, what differs, and who is taken to be enrolled."""

import os
import threading
from collections.abc import Iterable, Iterator
from contextlib import nullcontext
from datetime import timedelta
from pathlib import Path

import pytest

from crmflow.core.errors import CrmflowError, UsageError
from crmflow.core.identity import identity_of_id
from crmflow.core.model import Enrollment, Exit, Moment, Workflow
from crmflow.operations import advance, backtest, disenroll, edit_record, enroll, undo, workflows
from crmflow.operations.backtest import Watch
from crmflow.operations.backtest_findings import Backtest
from crmflow.operations.differences import Changed, compare
from crmflow.operations.ingest import ingest
from crmflow.operations.roster import everybody, from_table
from crmflow.store import retractions, runs
from crmflow.store.connection import Store, create_store
from crmflow.store.retractions import Target
from tests.operations.living import SILENT
from tests.operations.worlds import NOW, START

MOMENT = Moment(NOW, NOW)
UNWATCHED = Watch(lambda _: nullcontext(lambda _: None), lambda _: None)

STEPS = "steps: [{name: intro, kind: email, after: 0d}, {name: call, kind: task, after: 2h}]\n"
HEAD = f"workflow: welcome\ntype: prospect\n{STEPS}"
REPLIED = HEAD + "disenrollment_triggers: [{trigger: replied}]\n"
STATUS = HEAD + "disenrollment_triggers: [{trigger: field_updated, field: status}]\n"
NOTHING = HEAD


def _moment(hour: float) -> Moment:
    return Moment(START + timedelta(hours=hour), NOW)


@pytest.fixture
def store(folder: Path) -> Iterator[Store]:
    """A store with four prospects, in which a workflow that ends with a reply is in force; nobody is in it yet."""
    path = folder / "crm.db"
    with create_store(path) as made:
        for key in ("p-1", "p-2", "p-3", "p-4"):
            edit_record.add(made, f"prospect:{key}", [f"email={key}@acme.example"], _moment(0))
        workflows.apply(made, [_file(folder, "in-force.yaml", REPLIED)], _moment(0))
        yield made
    for each in folder.iterdir():
        each.unlink()


def _file(folder: Path, name: str, text: str) -> str:
    (folder / name).write_text(text, encoding="utf-8")
    return str(folder / name)


def _log(folder: Path, *events: str) -> str:
    """Write a log of events, each given as its hour and the rest of its line; returns its path."""
    lines = []
    for event in events:
        hour, _, rest = event.partition(" ")
        at = START + timedelta(hours=float(hour))
        lines.append(f'{{"time": "{at.isoformat()}", {rest}}}\n')
    return _file(folder, "events.jsonl", "".join(lines))


def _reply(hour: float, name: str = "p-1") -> str:
    return f'{hour} "type": "replied", "prospect": "{name}"'


def _asked(store: Store, definition: str, log: str) -> Backtest:
    path = _file(store.path.parent, "asked.yaml", definition)
    return backtest.of_store(store, backtest.ask([path], [], [log]), MOMENT, UNWATCHED)


def _outcomes(found: Backtest) -> list[tuple[str, str, object, object]]:
    """Return of each row the record, how it differs, and the hours at which it leaves before and after."""
    return [
        (each.record.key, each.changed.what, _hour(each.before.exit), _hour(each.after.exit)) for each in found.rows
    ]


def _hour(exit_: Exit | None) -> float | None:
    return None if exit_ is None else (exit_.at - START) / timedelta(hours=1)


def test_every_way_to_differ_is_told(store: Store) -> None:
    """Who stays, who leaves, who earlier or later, and who by something else, with the steps that come due by it."""
    for key in ("p-1", "p-2", "p-3", "p-4"):
        enroll.enroll(store, key, "welcome", _moment(1))
    status = '"type": "field_updated", "field": "status", "value": "lost", "prospect":'
    log = _log(
        store.path.parent,
        *(_reply(2), f'2 {status} "p-2"'),
        *(f'2 {status} "p-3"', _reply(4, "p-3")),
        *(_reply(2, "p-4"), f'2 {status} "p-4"'),
    )
    found = _asked(store, STATUS, log)
    assert _outcomes(found) == [
        ("p-1", "stays", 2, None),
        ("p-2", "leaves", None, 2),
        ("p-3", "earlier", 4, 2),
        ("p-4", "otherwise", 2, 2),
    ]
    assert [(each.before.steps.due, each.after.steps.due) for each in found.rows] == [(1, 2), (2, 1), (2, 1), (1, 1)]
    assert [each.seconds for each in found.rows] == [None, None, -7200, 0]
    assert found.tallies["welcome"].before == {"replied": 3, None: 1}
    assert found.tallies["welcome"].after == {"field_updated": 3, None: 1}


def test_an_exit_by_hand_stands_where_the_event_before_it_no_longer_ends_anything(store: Store) -> None:
    """What a person did counts even where an event has superseded it."""
    enroll.enroll(store, "p-1", "welcome", _moment(1))
    disenroll.disenroll(store, "prospect:p-1", "welcome", _moment(5))
    log = _log(store.path.parent, _reply(2))
    ingest(store, [log], MOMENT, SILENT)
    found = _asked(store, NOTHING, log)
    assert _outcomes(found) == [("p-1", "later", 2, 5)]
    assert found.unlike_store == 0


def test_updates_by_hand_are_decided_by_the_rules_that_are_tried(store: Store) -> None:
    """What a person set ends an enrollment where the rules say so, though it ended none in the store."""
    enroll.enroll(store, "p-1", "welcome", _moment(1))
    log = _log(store.path.parent, _reply(2))
    ingest(store, [log], MOMENT, SILENT)
    edit_record.set_fields(store, "prospect:p-1", ["status=lost"], _moment(3))
    assert _outcomes(_asked(store, STATUS, log)) == [("p-1", "later", 2, 3)]


def test_steps_that_a_person_completed_stay_completed(store: Store) -> None:
    """Steps of `advance` are counted under both rules, as far as they lie before the exit."""
    enroll.enroll(store, "p-1", "welcome", _moment(1))
    advance.advance(store, _moment(1))
    advance.advance(store, _moment(3))
    log = _log(store.path.parent, _reply(2))
    ingest(store, [log], MOMENT, SILENT)
    found = _asked(store, NOTHING, log)
    assert _outcomes(found) == [("p-1", "later", 2, 3)]
    assert [(each.before.steps, each.after.steps) for each in found.rows] == [((1, 1), (2, 1))]
    assert found.tallies["welcome"].after == {"completed": 1}


def test_steps_that_a_log_completed_are_told_again_by_the_log_alone(store: Store) -> None:
    """A step that an event completed is not completed where its log is not read."""
    enroll.enroll(store, "p-1", "welcome", _moment(1))
    told = '3 "type": "step_completed", "workflow": "welcome", "step": "call", "prospect": "p-1"'
    log = _log(store.path.parent, told)
    ingest(store, [log], MOMENT, SILENT)
    assert _asked(store, REPLIED, log).tallies["welcome"].after == {"completed": 1}
    found = _asked(store, REPLIED, _log(store.path.parent, _reply(9, "p-2")))
    assert found.tallies["welcome"].after == {None: 1}
    assert found.unlike_store == 1


def test_an_exit_by_hand_ends_every_enrollment_that_there_was(store: Store) -> None:
    """Whoever came back and was taken out by hand is out, also where the first enrollment would not have ended."""
    enroll.enroll(store, "p-1", "welcome", _moment(1))
    log = _log(store.path.parent, _reply(2))
    ingest(store, [log], MOMENT, SILENT)
    enroll.enroll(store, "p-1", "welcome", _moment(3))
    disenroll.disenroll(store, "prospect:p-1", "welcome", _moment(5))
    assert _outcomes(_asked(store, NOTHING, log)) == [("p-1", "later", 2, 5)]


def test_what_people_did_before_an_enrollment_was_made_does_not_end_it(store: Store) -> None:
    """An enrollment is not touched by what was done by hand before it was made, though for a later time."""
    enroll.enroll(store, "p-1", "welcome", _moment(1))
    disenroll.disenroll(store, "prospect:p-1", "welcome", _moment(5))
    edit_record.set_fields(store, "prospect:p-1", ["status=lost"], _moment(6))
    log = _log(store.path.parent, _reply(2))
    ingest(store, [log], MOMENT, SILENT)
    enroll.enroll(store, "p-1", "welcome", _moment(4))
    for rules in (REPLIED, STATUS):
        found = _asked(store, rules, log)
        assert found.unlike_store == 0
        assert found.tallies["welcome"].after[None] == 1


def test_facts_of_undone_runs_do_not_stand(store: Store) -> None:
    """Exits, steps and updates by hand count only while their run is not undone."""
    enroll.enroll(store, "p-1", "welcome", _moment(1))
    advance.advance(store, _moment(1))
    edit_record.set_fields(store, "prospect:p-1", ["status=lost"], _moment(2))
    disenroll.disenroll(store, "prospect:p-1", "welcome", _moment(3))
    log = _log(store.path.parent, _reply(9, "p-2"))
    assert _asked(store, STATUS, log).tallies["welcome"].after == {"field_updated": 1}
    for each in runs.listed(store):
        if each["command"] in {"advance", "record set", "disenroll"}:
            undo.undo(store, each["run"], _moment(4))
    found = _asked(store, STATUS, log)
    assert found.tallies["welcome"].after == {None: 1}
    assert found.unlike_store == 0


def test_retracted_events_do_not_count(store: Store) -> None:
    """What was retracted counts no more, whatever the rules that are tried."""
    enroll.enroll(store, "p-1", "welcome", _moment(1))
    log = _log(store.path.parent, _reply(2).replace('"type"', '"id": "e-1", "type"'))
    ingest(store, [log], MOMENT, SILENT)
    with store.change():
        run = runs.begin(store, "retract", MOMENT)
        retractions.add(store, run, "a mistake", [Target(identity_of_id("e-1"))])
    assert _asked(store, REPLIED, log).tallies["welcome"].after == {None: 1}


def test_an_email_that_only_a_log_gave_is_not_known_before_that_log_says_it(store: Store) -> None:
    """Addresses are those that were imported or set by hand; the log gives the others again, in its order."""
    enroll.enroll(store, "p-1", "welcome", _moment(1))
    enroll.enroll(store, "p-2", "welcome", _moment(1))
    edit_record.set_fields(store, "prospect:p-2", ["email=by-hand@acme.example"], _moment(1))
    given = '1 "type": "field_updated", "field": "email", "value": "NEW@acme.example", "prospect": "p-1"'
    log = _log(store.path.parent, given)
    ingest(store, [log], MOMENT, SILENT)
    early = [_reply(2, name) for name in ("new@acme.example", "by-hand@acme.example", "p-2@acme.example")]
    assert _asked(store, REPLIED, _log(store.path.parent, *early)).tallies["welcome"].after == {None: 1, "replied": 1}
    late = _log(store.path.parent, given, *early)
    assert _asked(store, REPLIED, late).tallies["welcome"].after == {"replied": 2}
    former = _log(store.path.parent, _reply(2, "P-1@acme.example"))
    assert _asked(store, REPLIED, former).tallies["welcome"].after == {None: 1, "replied": 1}


def test_removed_records_are_left_out(store: Store) -> None:
    """What is left of a removed record is a number: no log can say anything about it."""
    for key in ("p-1", "p-2"):
        enroll.enroll(store, key, "welcome", _moment(1))
    edit_record.remove(store, "prospect:p-1", _moment(2))
    found = _asked(store, STATUS, _log(store.path.parent, _reply(2, "p-2")))
    assert _outcomes(found) == [("p-2", "stays", 2, None)]


def test_a_workflow_that_is_not_in_force_is_compared_with_one_without_triggers(store: Store) -> None:
    """Where there is nothing to compare with, nobody leaves by a trigger before."""
    enroll.enroll(store, "p-1", "welcome", _moment(1))
    workflows.remove(store, "welcome", _moment(9), with_disenrolling=True)
    found = _asked(store, REPLIED, _log(store.path.parent, _reply(2)))
    assert _outcomes(found) == [("p-1", "earlier", 9, 2)]
    assert found.question.compared_with("welcome") is None


def test_questions_that_do_not_fit_are_wrong_usage(store: Store) -> None:
    """A workflow file among the logs, and files that are no pairs, are named."""
    folder = store.path.parent
    welcome, other = _file(folder, "w.yaml", REPLIED), _file(folder, "o.yaml", "workflow: other\ntype: deal\n")
    deals = _file(folder, "d.yaml", "workflow: welcome\ntype: deal\n")
    for files, against, logs, what in (
        ([welcome], [], [other], "o.yaml is a workflow file, not a log"),
        ([welcome, other], [welcome], ["log"], "declares other, and no file after --against does"),
        ([welcome], [welcome, other], ["log"], "declares other, and no file after --workflow does"),
        ([welcome], [deals], ["log"], "welcome is for prospects in .* and for deals in"),
        ([], [], ["log"], "none of these files declares a workflow"),
    ):
        with pytest.raises(UsageError, match=what):
            backtest.ask(files, against, logs)


def test_a_workflow_that_has_enrolled_other_records_is_refused(store: Store) -> None:
    """A definition for another type is refused as `workflow apply` refuses it, and the store as a log like anywhere."""
    enroll.enroll(store, "p-1", "welcome", _moment(1))
    log = _log(store.path.parent, _reply(2))
    with pytest.raises(CrmflowError, match="is for records of type prospect, and has enrolled some"):
        _asked(store, "workflow: welcome\ntype: deal\n", log)
    with pytest.raises(CrmflowError, match="is the store itself"):
        _asked(store, REPLIED, str(store.path))


def test_a_pipe_is_read_as_often_as_needed(store: Store) -> None:
    """What a pipe delivers once is there for both readings, and rows call it as the user did."""
    enroll.enroll(store, "p-1", "welcome", _moment(1))
    pipe, lines = store.path.with_name("pipe"), Path(_log(store.path.parent, _reply(2))).read_bytes()
    os.mkfifo(pipe)
    writer = threading.Thread(target=pipe.write_bytes, args=[lines])
    writer.start()
    found = _asked(store, NOTHING, str(pipe))
    writer.join()
    assert _outcomes(found) == [("p-1", "stays", 2, None)]
    assert found.rows[0].before.source == str(pipe)


# --- comparing ---


def _enrollments(hours: dict[int, float | None]) -> Iterable[Enrollment]:
    for number, hour in hours.items():
        exit_ = None if hour is None else Exit(at=START + timedelta(hours=hour), cause="manual", event_id=str(number))
        yield Enrollment(id=number, record_id=1, workflow="w", enrolled_at=START, exit=exit_)


def test_only_what_is_in_both_sets_is_compared() -> None:
    """Enrollments are matched by number; those that only one of the sets has are passed over."""
    before = _enrollments({1: 1, 3: None, 4: 2, 6: 1, 7: 1})
    after = _enrollments({2: 1, 3: 1, 4: 2, 5: None, 6: 3})
    found = compare(before, after)
    assert [(each.before.id, each.what) for each in found.changed] == [(3, "leaves"), (6, "later")]
    assert found.tallies["w"] == ({None: 1, "manual": 2}, {"manual": 3})
    assert compare([], _enrollments({1: 1})) == ({}, [])


def test_which_event_decided_is_no_difference() -> None:
    """The same cause at the same time is the same exit; another trigger at the same time is not."""
    exits = [Exit(at=START, cause="trigger", trigger="replied", event_id=each) for each in ("a", "b")]
    exits.append(Exit(at=START, cause="trigger", trigger="link_clicked"))
    one, same, other = (Enrollment(id=1, record_id=1, workflow="w", enrolled_at=START, exit=exit_) for exit_ in exits)
    assert compare([one], [same]).changed == []
    assert compare([one], [other]).changed == [Changed(one, other)]


# --- who is enrolled without a store ---

WELCOME, CLOSING = Workflow("welcome", "prospect"), Workflow("closing", "deal")


def test_everybody_whom_a_log_names_is_enrolled(folder: Path) -> None:
    """Also those of events without effect; a rejected line names nobody, and an email is one however it is written."""
    log = _log(
        folder,
        *(
            '1 "type": "email_sent", "prospect": "Ana@acme.example"',
            '2 "type": "replied", "prospect": "ana@acme.example"',
        ),
        *(
            '1 "type": "email_opened", "prospect": "p-1", "workflow": null',
            '1 "type": "hard_bounced", "prospect": "P-1"',
        ),
        *(
            '1 "type": "deal_won", "deal": "D-1"',
            '1 "type": "replied", "deal": "D-2"',
            '1 "type": "odd", "prospect": "x"',
        ),
    )
    roster = everybody([WELCOME, CLOSING], [log, str(folder / "missing")], START, MOMENT)
    assert [(each.workflow, str(each.record), each.email) for each in roster.entries] == [
        ("welcome", "prospect:Ana@acme.example", "Ana@acme.example"),
        ("welcome", "prospect:P-1", None),
        ("welcome", "prospect:p-1", None),
        ("closing", "deal:D-1", None),
    ]


def test_a_table_says_who_is_enrolled(folder: Path) -> None:
    """Rows of other workflows are counted, rows that can't be understood are named with their line."""
    path = _file(
        folder,
        "enrolled.csv",
        "workflow,key,enrolled_at,email\n"
        "welcome,p-1,2026-03-01T00:00:00Z,ana@acme.example\n"
        "closing,D-1,2026-03-01T00:00:00Z,\n"
        "nurture,p-1,2026-03-01T00:00:00Z,\n"
        "welcome,,2026-03-01T00:00:00Z,\n"
        "welcome,p-2,yesterday,\n"
        "welcome,p-1,2026-03-01T01:00:00+01:00,ana@acme.example\n",
    )
    roster = from_table([WELCOME, CLOSING], path)
    assert [(str(each.record), each.email) for each in roster.entries] == [
        ("prospect:p-1", "ana@acme.example"),
        ("deal:D-1", None),
    ]
    assert roster.passed_over == 1
    assert roster.faults == [f"{path}:5: the key is empty", f"{path}:6: not an RFC 3339 time: 'yesterday'"]


@pytest.mark.parametrize("missing", ["workflow", "enrolled_at", "key or record"])
def test_a_table_without_a_column_is_refused(folder: Path, missing: str) -> None:
    """The column that is missing is named, and what prints such a table."""
    columns = [each for each in ("workflow", "key", "enrolled_at") if each not in missing.split()]
    path = _file(folder, "short.csv", f"{','.join(columns)}\na,b\n")
    with pytest.raises(CrmflowError, match=f"there is no column {missing}") as caught:
        from_table([WELCOME], path)
    assert caught.value.hint == "crmflow enrollment list --csv prints such a table"
