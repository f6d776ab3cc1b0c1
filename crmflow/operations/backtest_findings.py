"""What a backtest found: who comes out differently, counted and one by one."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from crmflow.core.model import Definition, Exit, Record
from crmflow.core.times import shown
from crmflow.operations.differences import Changed, Tally, by
from crmflow.operations.ingest import PLAINLY, Manner, Summary


class Question(NamedTuple):
    """What is asked: definitions, those to compare them with (None: not said), each by name; logs, how to read them.

    A definition to compare with that has no path is what stands for none: the same workflow without triggers.
    """

    after: dict[str, Definition]
    before: dict[str, Definition] | None
    logs: Sequence[str]
    manner: Manner = PLAINLY

    def compared_with(self, workflow: str) -> Definition | None:
        """Return the definition that a workflow is compared with; None for none."""
        before = (self.before or {}).get(workflow)
        return before if before is not None and before.path else None


class Steps(NamedTuple):
    """Of one enrollment, by one set of rules: the steps known to be completed, and those that would have come due."""

    done: int
    due: int


class Leaving(NamedTuple):
    """An enrollment by one set of rules: its exit (None: it stays), the source of the event behind that, its steps."""

    exit: Exit | None
    source: str | None
    steps: Steps


class Row(NamedTuple):
    """An enrollment that comes out differently."""

    changed: Changed
    record: Record
    before: Leaving
    after: Leaving

    @property
    def workflow(self) -> str:
        """Return the name of the workflow."""
        return self.changed.after.workflow

    @property
    def seconds(self) -> float | None:
        """Return by how many seconds it leaves later (earlier: negative); None where it stays by either rules."""
        before, after = self.before.exit, self.after.exit
        if before is None or after is None:
            return None
        length = (after.at - before.at).total_seconds()
        return int(length) if length.is_integer() else length


class Backtest(NamedTuple):
    """What a backtest found.

    `rows` are ordered by workflow, record and time. `faults` are rows of a table of enrollments that can't be
    understood. `unlike_store` counts the enrollments that do not stand in the store as they do by the rules in force
    and these logs; None where there is nothing to compare with.
    """

    question: Question
    tallies: Mapping[str, Tally]
    rows: list[Row]
    summary: Summary
    first_reject: str | None
    faults: Sequence[str] = ()
    unlike_store: int | None = None


def as_json(test: Backtest) -> dict[str, Any]:
    """Return a backtest as plain values."""
    summary = test.summary
    return {
        "workflows": [_workflow_json(test, each) for each in test.question.after.values()],
        "rows": [_row_json(row) for row in test.rows],
        "unlike_store": test.unlike_store,
        "lines": summary.lines,
        "rejected": summary.rejected,
        "incomplete": summary.incomplete,
    }


def _workflow_json(test: Backtest, declared: Definition) -> dict[str, Any]:
    name = declared.workflow.workflow
    tally, rows = tally_of(test, name), rows_of(test, name)
    before = test.question.compared_with(name)
    return {
        "workflow": name,
        "type": declared.workflow.type,
        "path": declared.path,
        "against": before and before.path,
        "is_same": before is not None and before.digest == declared.digest,
        "enrolled": tally.before.total(),
        "by": [{"by": each, "before": tally.before[each], "after": tally.after[each]} for each in causes(tally)],
        **{what: sum(row.changed.what == what for row in rows) for what in WAYS},
        "steps": {word: saved_and_lost(rows, word)._asdict() for word in Steps._fields},
    }


WAYS = ("stays", "leaves", "earlier", "later", "otherwise")
"""The ways in which an enrollment may come out differently, in the order in which they are told."""


def tally_of(test: Backtest, workflow: str) -> Tally:
    """Return the counts of a workflow, which may have nobody in it."""
    return test.tallies.get(workflow, Tally(Counter(), Counter()))


def rows_of(test: Backtest, workflow: str) -> list[Row]:
    """Return the rows of a workflow."""
    return [row for row in test.rows if row.workflow == workflow]


def causes(tally: Tally) -> list[str | None]:
    """Return what ended enrollments by either rules, the most frequent first; None, for nothing, before all."""
    counted = tally.before + tally.after
    return sorted(counted, key=lambda each: (each is not None, -counted[each], each or ""))


class SavedAndLost(NamedTuple):
    """How many steps enrollments get to by the rules after only (saved), and by those before only (lost)."""

    saved: int
    lost: int


def saved_and_lost(rows: Iterable[Row], word: str) -> SavedAndLost:
    """Return that of the steps that are `done` or `due`."""
    gains = [getattr(row.after.steps, word) - getattr(row.before.steps, word) for row in rows]
    return SavedAndLost(sum(max(each, 0) for each in gains), sum(max(-each, 0) for each in gains))


def _row_json(row: Row) -> dict[str, Any]:
    enrollment = row.changed.after
    return {
        "workflow": enrollment.workflow,
        "type": row.record.type,
        "record": row.record.key,
        "enrolled_at": shown(enrollment.enrolled_at),
        "what": row.changed.what,
        "before": _leaving_json(row.before),
        "after": _leaving_json(row.after),
        "seconds": row.seconds,
        "steps": {
            word: {"before": getattr(row.before.steps, word), "after": getattr(row.after.steps, word)}
            for word in Steps._fields
        },
    }


def _leaving_json(leaving: Leaving) -> dict[str, Any] | None:
    exit_ = leaving.exit
    if exit_ is None:
        return None
    event = {"id": exit_.event_id, "type": exit_.event_type, "source": leaving.source, "line": exit_.line}
    return {"exited_at": shown(exit_.at), "by": by(exit_), "event": event if exit_.event_type else None}
