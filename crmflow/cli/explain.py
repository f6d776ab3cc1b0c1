"""`crmflow explain`: why a record left a workflow when it did, or why it has not."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from crmflow.cli.session import PARTLY_DONE, RefArgument, Session, WorkflowOption, given, group, reads

if TYPE_CHECKING:
    from crmflow.operations.recall import Gone
    from crmflow.operations.story import Entry, EventRef, Near, RunRef, Stay, Story, TriggerRef, Waiting

app = group()

EventsOption = Annotated[
    list[str] | None,
    typer.Option(
        "--events", metavar="FILE", parser=given, help="A log to look through as well, read or not; may be repeated."
    ),
]
MOST_SHOWN = 3
"""How many of the events that do not count are shown of each kind; `--json` holds them all."""

DIGEST_LENGTH = 12

_REASONS = {
    "field": "of another field",
    "unchanged": "without a change",
    "no_value": "without a value",
    "value": "of another value",
    "page": "of another page",
    "unknown_workflow": "of an unknown workflow",
    "workflow": "of another workflow",
    "suspect": "likely caused by a machine",
    "before": "before the enrollment",
}
"""What is said of events that are only counted, by why they were not taken."""

_EXAMPLE = """\
crmflow explain prospect:ana@acme.example
crmflow explain p-7 --workflow welcome --events today.jsonl
crmflow explain deal:D-9 --json | jq '.[].enrollments[].waiting'
"""


@reads(app, "explain", example=_EXAMPLE)
def explain(
    session: Session, ref: RefArgument, workflow: WorkflowOption = None, events: EventsOption = None
) -> int | None:
    """Explain why a record left a workflow, or why not.

    The whole story: who enrolled it, the steps, which line of which log matched which trigger of which file, what was
    superseded, undone or retracted, and what came too late to count. Of a record that is still in: what each trigger
    waits for, and the first condition that each event failed that came near.

    What did not count is read again from the logs. Logs that are gone are named, and the exit status is 3.
    """
    from crmflow.operations import explain as operation

    with session.open() as store:
        explained = operation.explain(store, ref, workflow, events or [], session.now)
    name = f"{explained.record.type}:{explained.record.key}"
    lines = [line for number, each in enumerate(explained.stories) for line in _story(each, is_first=not number)]
    shown = lines or [f"{name} was never in any workflow"]
    session.output.data([each.as_json() for each in explained.stories], shown)
    for words in (*_gone(explained.gone), *explained.faults):
        session.output.warn(words)
    if explained.gone:
        session.output.say("what they told is missing here; a log that lies elsewhere is found if --events names it")
    return PARTLY_DONE if explained.gone or explained.faults else None


def _gone(gone: "Iterable[Gone]") -> list[str]:
    runs: dict[tuple[str, str], list[str]] = {}
    for each in gone:
        runs.setdefault((each.path, each.why), []).append(str(each.run))
    return [
        f"{path}, read by {'run' if len(its) == 1 else 'runs'} {', '.join(its)}: {why}"
        for (path, why), its in runs.items()
    ]


def _story(story: "Story", *, is_first: bool) -> Iterator[str]:
    name = f"{story.type}:{story.record}"
    where = story.workflow if story.in_force else f"{story.workflow} (not in force any more)"
    for stay in story.enrollments:
        if not is_first:
            yield ""
        is_first = False
        step = f", last step {stay.step}" if stay.step and stay.state != "completed" else ""
        yield f"{name} in {where}: {stay.state}{step}"
        yield from _timeline(stay)
        if stay.waiting is not None:
            yield from _waiting(stay.waiting)
    if not story.enrollments:
        yield from [f"{name} {'is not' if story.withdrawn else 'was never'} in {where}"]
    for each in story.withdrawn:
        yield f"  {each.enrolled_at}  enrolled, and withdrawn"
        yield f"      {_run(each.run)}"
        yield f"      withdrawn by {_run(each.withdrawn_by)}"


def _timeline(stay: "Stay") -> Iterator[str]:
    match_count = 0
    for each in stay.timeline:
        match_count += each.what == "match"
        if each.what != "match" or match_count <= MOST_SHOWN:
            yield f"  {each.time}  {_what(each)}"
            yield from (f"      {detail}" for detail in _details(each))
    if match_count > MOST_SHOWN:
        yield f"  and {match_count - MOST_SHOWN} more events that do not count"


def _what(entry: "Entry") -> str:
    match entry.what:
        case "enrolled":
            return "enrolled"
        case "step":
            return f"step {entry.by} completed"
        case "match":
            return f"{entry.by} does not count"
        case "exit":
            how = {"manual": "left by hand", "completed": "completed"}.get(entry.by or "", f"left by {entry.by}")
            return how if entry.stands else f"{how}, no longer"


def _details(entry: "Entry") -> Iterator[str]:
    """Yield where an entry comes from, each place as editors turn it into a link: `path:line: what stands there`."""
    if entry.why:
        yield entry.why
    if entry.event:
        yield _event(entry.event)
    if entry.trigger:
        yield f"{_places(entry.trigger)}: trigger {entry.trigger.trigger} (digest {_short(entry.trigger)})"
    if entry.note:
        yield f"note: {entry.note}"
    if entry.run:
        yield _run(entry.run)
    if entry.superseded_by:
        yield f"superseded by {_run(entry.superseded_by)}"
    if entry.restored_by:
        yield f"restored by {_run(entry.restored_by)}"
    if entry.retracted:
        yield f"the event is retracted by {_run(entry.retracted.run)}: {entry.retracted.because}"


def _event(event: "EventRef") -> str:
    place = f"{event.source}:{event.line}: " if event.source and event.line else ""
    name = f" ({event.id})" if event.id else ""
    return f"{place}{event.type}{f' {event.says}' if event.says else ''}{name}"


def _places(trigger: "TriggerRef") -> str:
    return f"{trigger.path}:{' or '.join(map(str, trigger.lines))}"


def _short(trigger: "TriggerRef") -> str:
    return trigger.digest[:DIGEST_LENGTH]


def _run(run: "RunRef") -> str:
    undone = f", undone by run {run.undone_by}" if run.undone_by else ""
    return f"run {run.run}, {run.command}{undone}"


def _waiting(waiting: "Sequence[Waiting]") -> Iterator[str]:
    if not waiting:
        yield "  waits for nothing: no trigger is declared"
        return
    first = waiting[0].trigger
    yield f"  waits for one of these, by {first.path} (digest {_short(first)})"
    for each in waiting:
        yield f"    line {each.trigger.lines[0]}: {each.waits_for}"
        yield from _near(each.near)


def _near(near: "Sequence[Near]") -> Iterator[str]:
    """Yield the nearest events: those that fail the last of the conditions and, among these, the latest."""
    from crmflow.core.hindrances import REASONS

    places = sorted(range(len(near)), key=lambda at: (REASONS.index(near[at].reason), at))[-MOST_SHOWN:]
    for at in sorted(places):
        yield f"      {near[at].event.time}  {near[at].why}"
        yield f"          {_event(near[at].event)}"
    counts = Counter(each.reason for at, each in enumerate(near) if at not in places)
    if counts:
        reasons = ", ".join(f"{count} {_REASONS[reason]}" for reason, count in counts.items())
        yield f"      and more: {reasons}"
