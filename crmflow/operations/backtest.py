"""What would these definitions have done with these logs? Two trials from the same start, and what differs.

What definitions are compared with are those in force in a store, those of other files, or none: then nobody leaves by a
trigger.
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import datetime
from typing import NamedTuple

from crmflow import definitions
from crmflow.core.errors import CrmflowError, UsageError
from crmflow.core.model import Completion, Definition, Enrollment, Moment, Step
from crmflow.core.schedule import due_before
from crmflow.core.settlement import is_before
from crmflow.core.triggers import untriggered
from crmflow.operations.backtest_findings import Backtest, Leaving, Question, Row, Steps
from crmflow.operations.differences import compare
from crmflow.operations.ingest import PLAINLY, Manner, Summary, Watcher
from crmflow.operations.lookup import require_other_file
from crmflow.operations.roster import Roster, everybody, from_table
from crmflow.operations.trial import Trial, Tried, trial_of, trial_with
from crmflow.operations.workflows import require_types
from crmflow.sources.spools import Spools, spooled
from crmflow.store import enrollments, exits, records, workflows
from crmflow.store.connection import Store

WORKFLOW_SUFFIXES = (".yaml", ".yml")


class Watch(NamedTuple):
    """Whom a backtest tells what happens.

    `reading` begins a reading of the logs, given what it is called, and takes how many more bytes were read; `say`
    takes sentences for the user.
    """

    reading: Callable[[str], AbstractContextManager[Callable[[int], None]]]
    say: Callable[[str], None]


def ask(files: Sequence[str], against: Sequence[str], logs: Sequence[str], manner: Manner = PLAINLY) -> Question:
    """Return the question that files mean; raises `DefinitionsError`, and `UsageError` where they do not fit."""
    for path in logs:
        if path.endswith(WORKFLOW_SUFFIXES):
            raise UsageError(
                f"{path} is a workflow file, not a log", hint=f"put --workflow before it: --workflow {path}"
            )
    after = _loaded(files)
    if not after:
        raise UsageError("none of these files declares a workflow", hint="scenario files declare none")
    before = _loaded(against) if against else None
    if before is not None:
        _require_pairs(before, after)
    return Question(after, before, logs, manner)


def _loaded(paths: Sequence[str]) -> dict[str, Definition]:
    return {each.workflow.workflow: each for each in definitions.load(paths)}


def _require_pairs(before: Mapping[str, Definition], after: Mapping[str, Definition]) -> None:
    for some, others, option in ((after, before, "--against"), (before, after, "--workflow")):
        for name, each in some.items():
            if name not in others:
                raise UsageError(f"{each.path} declares {name}, and no file after {option} does")
            if others[name].workflow.type != each.workflow.type:
                types = f"{each.workflow.type}s in {each.path} and for {others[name].workflow.type}s"
                raise UsageError(f"{name} is for {types} in {others[name].path}")


def of_store(store: Store, question: Question, moment: Moment, watch: Watch) -> Backtest:
    """Return what would have become of a store's enrollments; the store is only read.

    Raises `CrmflowError` where a workflow has enrolled records of another type, and where no log can be read.
    """
    for path in question.logs:
        require_other_file(store, path)
    require_types(store, list(question.after.values()))
    in_force = _in_force(store, question.after)
    asked = _completed(question, in_force)
    with spooled(question.logs) as logs, trial_of(store, asked.after, moment) as trial:
        both = _try_both(trial, asked, logs, moment, watch)
        found = _found(asked, both, logs)
        if question.before is not None:
            return found
        compared = compare(enrollments.every(store, in_force), both.before.enrollments(in_force))
        return found._replace(unlike_store=len(compared.changed))


def _in_force(store: Store, names: Collection[str]) -> dict[str, Definition]:
    return {
        name: Definition(each.workflow, each.digest, each.path, "")
        for name, each in workflows.in_force(store).items()
        if name in names
    }


def _completed(question: Question, found: Mapping[str, Definition]) -> Question:
    """Return the question with something to compare each definition with, if it says nothing: what was found, or none.

    None is the same workflow without triggers: records go through its steps, and leave by hand alone.
    """
    if question.before is not None:
        return question
    return question._replace(
        before={name: found[name] if name in found else _untriggered(each) for name, each in question.after.items()}
    )


def _untriggered(declared: Definition) -> Definition:
    return Definition(untriggered(declared.workflow), digest="", path="", text="")


def of_everybody(question: Question, at: datetime, moment: Moment, watch: Watch) -> Backtest:
    """Return what would have become of all whom the logs name, enrolled at a time in each workflow of their type."""
    with spooled(question.logs) as logs:
        wanted = [each.workflow for each in question.after.values()]
        roster = everybody(wanted, logs.paths, at, moment, question.manner.options)
        return _of_roster(question, roster, logs, moment, watch)


def of_table(question: Question, path: str, moment: Moment, watch: Watch) -> Backtest:
    """Return what would have become of the enrollments that a table lists; raises as `roster.from_table`."""
    roster = from_table([each.workflow for each in question.after.values()], path)
    if roster.passed_over:
        watch.say(f"{path}: {roster.passed_over} rows of other workflows passed over")
    with spooled(question.logs) as logs:
        return _of_roster(question, roster, logs, moment, watch)


def _of_roster(question: Question, roster: Roster, logs: Spools, moment: Moment, watch: Watch) -> Backtest:
    asked = _completed(question, {})
    with trial_with(roster, moment) as trial:
        both = _try_both(trial, asked, logs, moment, watch)
        return _found(asked, both, logs)._replace(faults=roster.faults)


class _Both(NamedTuple):
    """What came of the rules before and of those after; the same where they mean the same."""

    before: Tried
    after: Tried


def _try_both(trial: Trial, question: Question, logs: Spools, moment: Moment, watch: Watch) -> _Both:
    """Try both sets of rules; raises `CrmflowError` where no log can be read."""
    before, after = _rules(question.before), _rules(question.after)
    with watch.reading("reading by the rules after") as read:
        watcher = Watcher(read, lambda words: watch.say(logs.named(words)))
        tried = trial.run(after, logs.paths, moment, watcher, question.manner)
    _require_some_log(tried.summary, logs)
    if _digests(before) == _digests(after):
        return _Both(tried, tried)
    with watch.reading("reading by the rules before") as read:
        watcher = Watcher(read, lambda _words: None)  # it has been said
        return _Both(trial.run(before, logs.paths, moment, watcher, question.manner), tried)


def _rules(asked: Mapping[str, Definition] | None) -> list[Definition]:
    return list((asked or {}).values())


def _digests(rules: Iterable[Definition]) -> dict[str, str]:
    return {each.workflow.workflow: each.digest for each in rules}


def _require_some_log(summary: Summary, logs: Spools) -> None:
    summary.faults = [logs.named(each) for each in summary.faults]
    if len(summary.faults) == len(logs.paths) and not summary.sources:
        raise CrmflowError(f"none of the logs could be read: {summary.faults[0]}")


def _found(question: Question, both: _Both, logs: Spools) -> Backtest:
    names = question.after
    compared = compare(both.before.enrollments(names), both.after.enrollments(names))
    changed = compared.changed
    before = _leavings(both.before, [each.before for each in changed], _rules(question.before))
    after = _leavings(both.after, [each.after for each in changed], _rules(question.after))
    known = records.load(both.after.store, {each.after.record_id for each in changed})
    rows = [
        Row(each, known[each.after.record_id], *leavings)
        for each, *leavings in zip(changed, before, after, strict=True)
    ]
    rows.sort(key=lambda row: (row.workflow, row.record.key, row.changed.after.enrolled_at))
    reject = both.after.first_reject()
    return Backtest(
        question,
        compared.tallies,
        [_named(row, logs) for row in rows],
        both.after.summary,
        reject and logs.named(reject),
    )


def _leavings(tried: Tried, some: Sequence[Enrollment], rules: Iterable[Definition]) -> list[Leaving]:
    """Return how enrollments end by the rules that were tried."""
    declared = {each.workflow.workflow: each.workflow.steps for each in rules}
    sources = exits.sources(tried.store, (each.exit_id for each in some if each.exit_id is not None))
    completed = enrollments.completions(tried.store, (each.id for each in some))
    found = []
    for each in some:
        steps = _steps(declared[each.workflow], each, completed.get(each.id, ()))
        found.append(Leaving(each.exit, sources.get(each.exit_id or 0), steps))
    return found


def _steps(declared: Sequence[Step], enrollment: Enrollment, completed: Iterable[Completion]) -> Steps:
    done = {each.step for each in completed if is_before(each, enrollment.exit)}
    until = None if enrollment.exit is None else enrollment.exit.at
    return Steps(len(done), due_before(declared, enrollment.enrolled_at, until))


def _named(row: Row, logs: Spools) -> Row:
    """Return a row with the sources called as the user called them."""
    before, after = (each._replace(source=each.source and logs.named(each.source)) for each in (row.before, row.after))
    return row._replace(before=before, after=after)
