"""What happens to worlds in a store: how they begin, what people do, what logs say."""

from collections.abc import Iterable
from datetime import datetime

from crmflow.core.errors import CrmflowError
from crmflow.core.model import Definition, Event, Moment
from crmflow.operations import disenroll, enroll
from crmflow.operations.ingest import Watcher
from crmflow.store import runs, workflows
from crmflow.store.connection import Store
from tests.operations.worlds import NOW, START, Stay, World, line_of

SILENT = Watcher(lambda _: None, lambda _: None)
NO_EVENTS = (b"not an event\n", b"\n", b'{"type": "replied", "prospect": "p-1"}\n')


def begin(store: Store, world: World) -> None:
    """Put the workflows in force and let the stays happen, one after the other."""
    moment = Moment(START, START)
    definitions = [Definition(each, each.workflow, f"{each.workflow}.yaml", "") for each in world.workflows]
    with store.change():
        workflows.put(store, runs.begin(store, "workflow apply", moment), definitions, moment)
    for stay in world.stays:
        enter(store, stay)


def enter(store: Store, stay: Stay) -> None:
    """Let a stay happen; raises `CrmflowError` where its record can't be enrolled."""
    enroll.enroll(store, stay.ref, stay.workflow.workflow, Moment(stay.enrolled_at, NOW))
    if stay.exited_at is not None:
        disenroll.disenroll(store, stay.ref, stay.workflow.workflow, Moment(stay.exited_at, NOW))


def leave(store: Store, leavings: Iterable[tuple[Stay, datetime]]) -> list[tuple[Stay, datetime]]:
    """Take records out of workflows by hand, those that are in them; return the leavings by which one ended."""
    return [(stay, at) for stay, at in leavings if _leaves(store, stay, at)]


def _leaves(store: Store, stay: Stay, at: datetime) -> bool:
    try:
        return disenroll.disenroll(store, stay.ref, stay.workflow.workflow, Moment(at, NOW)).run is not None
    except CrmflowError:  # whoever entered only later was not in it
        return False


def lines_of(events: Iterable[Event]) -> list[bytes]:
    """Return the lines of a log that tells events, and some that tell none."""
    return [*map(line_of, events), *NO_EVENTS]
