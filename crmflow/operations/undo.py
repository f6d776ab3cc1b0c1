"""Takes a run back: afterwards the store is as if that run had never been, those after it included.

Nothing that a run wrote is thrown away. The run no longer stands, so what it wrote no longer counts, and every
enrollment that it had part in is reconsidered. That is also why an undo can be undone: it is a run like any other, and
where it does not stand, the one that it took back does.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

from crmflow.core.errors import CrmflowError
from crmflow.core.model import Moment
from crmflow.operations.lookup import require_run
from crmflow.operations.reconsider import LeftAlone, Reconsidered, as_json, reconsider, restore_facts
from crmflow.store import enrollments, records, retractions, runs, standing, workflows
from crmflow.store.connection import Store

LASTING = {
    "record remove": "what it removed is gone for good",
    "record add": "take the record out with: crmflow record remove",
    "rejects clear": "what it cleared is gone for good",
}
"""Commands whose runs can't be taken back, and what there is to say about it."""


class Undone(NamedTuple):
    """What an undo did: the run that it took back, and all that came of it.

    `withdrawn` counts enrollments that are taken away, `brought_back` those that are there again, `workflows` names
    those with another definition in force.
    """

    run: int | None
    undone: int
    command: str
    withdrawn: int
    brought_back: int
    workflows: list[str]
    reconsidered: dict[str, Any]

    @property
    def is_partial(self) -> bool:
        """Tell whether anything was left alone, or is in doubt."""
        return bool(self.reconsidered["left_alone"] or self.reconsidered["gone"])

    def as_json(self) -> dict[str, Any]:
        """Return the result as plain values."""
        plain = self._asdict()
        return {**plain, **plain.pop("reconsidered")}


def undo(store: Store, number: int, moment: Moment, given: Sequence[str] = ()) -> Undone:
    """Take a run back; `given` are logs that stand in for known ones that are gone.

    Raises `CrmflowError` where there is no such run, it is undone already, or can't be taken back.
    """
    with store.change():
        target = _require_undoable(store, number)
        run = runs.begin(store, "undo", moment)
        freed = runs.undone_by(store, number)
        concerned = {each for one in (number, *freed) for each in standing.touched_enrollments(store, one)}
        touched = {each for one in (number, *freed) for each in standing.touched_records(store, one)}
        runs.mark_undone(store, number, run)
        runs.let_stand(store, freed)
        retractions.give_again(store, number)
        changed = workflows.settle_again(store, {number, *freed})
        withdrawn, built_on = _withdraw(store, run, number)
        brought_back, hindered = _bring_back(store, number)
        _relink(store, number, "after", "before")
        for each in freed:
            _relink(store, each, "before", "after")
        restore_facts(store, touched, given)
        found = reconsider(store, run, moment, (concerned | brought_back) - withdrawn, given)
        found.left_alone.extend([*built_on, *hindered])
        result = Undone(run, number, target, len(withdrawn), len(brought_back), changed, as_json(store, found))
        runs.note(store, run, _summary(result, found))
    return result._replace(run=store.shown(run))


def _require_undoable(store: Store, number: int) -> str:
    """Return the command of a run that can be taken back."""
    target = require_run(store, number)
    if target["undone_by"] is not None:
        by = target["undone_by"]
        raise CrmflowError(f"run {number} was undone by run {by}", hint=f"take that back with: crmflow undo {by}")
    command = str(target["command"])
    if command in LASTING:
        raise CrmflowError(f"run {number} ({command}) can't be taken back", hint=LASTING[command])
    return command


def _withdraw(store: Store, run: int, number: int) -> tuple[set[int], list[LeftAlone]]:
    """Take away the enrollments that a run began, but for those that something else has touched since."""
    begun = standing.begun_by(store, number)
    built_on = standing.built_on(store, begun, number)
    standing.withdraw(store, run, begun - built_on)
    left = [LeftAlone(each, "it was changed since") for each in enrollments.load(store, built_on)]
    return begun - built_on, left


def _bring_back(store: Store, number: int) -> tuple[set[int], list[LeftAlone]]:
    """Let the enrollments be there again that an undo took away, but for those of records that were enrolled since."""
    gone = standing.withdrawn_by(store, number)
    back: set[int] = set()
    left = []
    for each in gone:
        history = enrollments.of_records(store, [each.record_id], each.workflow)
        if any(other.exit is None or other.exit.at > each.enrolled_at for other in history):
            left.append(LeftAlone(each.as_enrollment(), "it was enrolled anew since"))
        else:
            standing.bring_back(store, [each.id])
            back.add(each.id)
    return back, left


def _relink(store: Store, number: int, found: str, wanted: str) -> None:
    """Give a deal the prospects that it had before or after a run, if they are what the other of them was."""
    linked = require_run(store, number)["summary"].get("linked")
    if linked and sorted(prospect for prospect, _ in records.prospects_of(store, linked["deal"])) == linked[found]:
        records.link_prospects(store, linked["deal"], linked[wanted])


def _summary(result: Undone, found: Reconsidered) -> dict[str, Any]:
    counts = {what: sum(each.what == what for each in found.changes) for what in ("reopened", "ended", "moved", "step")}
    return {
        "undone": result.undone,
        "command": result.command,
        **counts,
        "withdrawn": result.withdrawn,
        "brought_back": result.brought_back,
        "workflows": result.workflows,
        "left_alone": len(found.left_alone),
        "doubtful": len(found.doubtful),
    }
