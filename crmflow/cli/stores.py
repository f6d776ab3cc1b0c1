"""The store as a whole: making one, looking at it, looking after it."""

from typing import Annotated

import typer

from crmflow.cli.render import Table, bar, legend
from crmflow.cli.session import Session, group, reads

app = group()

BAR_WIDTH = 30
SHARE_WIDTH = 20


@reads(app, "init", example="crmflow init\ncrmflow --db /srv/crm/crm.db init")
def init(session: Session) -> int | None:
    """Make an empty store, readable for its owner only."""
    with session.create() as store:
        session.output.report({"store": str(store.path)}, [f"made {store.path}"])
    session.output.say("next: crmflow record import, crmflow workflow apply, crmflow enroll, crmflow ingest")
    return None


@reads(app, "demo", example="crmflow demo\ncrmflow --db /tmp/demo.db demo")
def demo(session: Session) -> int | None:
    """Make a store from the sample data and ingest their log.

    Shows who left which workflow, when, by what, and which line of the log says so. The store of an earlier demo is
    replaced.
    """
    from crmflow.operations import demo as operation

    path = session.db if session.db_given else session.db.with_name("demo.db")
    made = operation.demo(path, session.moment)
    rows = [_exit_row(each) for each in made.exits]
    session.output.report(made._asdict(), Table(["workflow", "record", "left at", "by", "line"], rows))
    if made.replaced:
        session.output.say(f"the store of an earlier demo at {made.store} was replaced by a new one")
    counts = made.ingest
    session.output.say(
        f"{len(rows)} enrollments ended; {counts['lines']} lines read: {counts['considered']} considered,"
        f" {counts['unmatched']} unmatched, {counts['without_effect']} without effect, {counts['rejected']} rejected,"
        f" {sum(counts['unknown_types'].values())} of unknown type"
    )
    session.output.say(f"the log: {made.log} (line 12 of it: sed -n 12p {made.log})")
    session.output.say(f"the store: {made.store} (look around: crmflow --db {made.store} status)")
    return None


def _exit_row(enrollment: dict[str, object]) -> list[str | int | None]:
    exit_ = enrollment["exit"]
    if not isinstance(exit_, dict):
        return []
    event = exit_["event"] or {}
    cause = exit_["trigger"] or exit_["cause"]
    return [
        str(enrollment["workflow"]),
        str(enrollment["record"]),
        str(enrollment["exited_at"]),
        cause,
        event.get("line"),
    ]


@reads(app, "status", example="crmflow status\ncrmflow status --json | jq '.workflows[] | {workflow, active}'")
def status(session: Session) -> int | None:
    """Show how the workflows stand.

    For each of them: how many records are active at which step, have completed it, and left it by which cause.
    """
    from crmflow.operations import status as operation

    with session.open() as store:
        now = operation.status(store)
    session.output.data(now, _status_lines(now))
    return None


def _status_lines(now: dict[str, object]) -> list[str]:
    records, workflows = now["records"], now["workflows"]
    if not isinstance(records, dict) or not isinstance(workflows, list):
        return []
    counted = ", ".join(f"{count} {kind}{'' if count == 1 else 's'}" for kind, count in records.items())
    lines = [f"store {now['store']}: {counted or 'no records'}"]
    if not workflows:
        return [*lines, "no workflows: crmflow workflow apply FILE..."]
    lines.append(f"each bar: {legend(['active', 'completed', 'disenrolled'])}")
    for each in workflows:
        lines += _workflow_lines(each)
    if now["rejects"]:
        lines += ["", f"{now['rejects']} rejects: crmflow rejects list"]
    return lines


def _workflow_lines(workflow: dict[str, object]) -> list[str]:
    parts = [int(str(workflow[name])) for name in ("active", "completed", "disenrolled")]
    in_force = "" if workflow["in_force"] else " (removed)"
    lines = ["", f"{workflow['workflow']}{in_force}: {workflow['enrolled']} enrolled"]
    lines.append(f"  {bar(parts, width=BAR_WIDTH)}  {parts[0]} active, {parts[1]} completed, {parts[2]} disenrolled")
    steps, causes = workflow["active_by_last_step"], workflow["disenrolled_by_cause"]
    if not isinstance(steps, list) or not isinstance(causes, dict):
        return lines
    for step in steps if parts[0] else ():
        name = f"after {step['step']}" if step["step"] else "before the first step"
        lines.append(_share_line(f"active, {name}", step["count"], parts[0]))
    for cause, count in causes.items():
        lines.append(_share_line(f"left by {cause}", count, parts[2]))
    return lines


def _share_line(words: str, count: int, whole: int) -> str:
    length = max(1, round(count * SHARE_WIDTH / whole)) if count else 0
    return f"    {words:<34} {count:>8}  {bar([count], width=length) if length else ''}".rstrip()


@reads(app, "doctor", example="crmflow doctor")
def doctor(session: Session) -> int | None:
    """Check the store, and exit with 1 if it has a fault.

    Looks at its pages, references, impossible states, offsets in logs, and permissions.
    """
    from crmflow.operations import upkeep

    with session.open() as store:
        findings = upkeep.examine(store)
        document = upkeep.as_json(store, findings)
    lines = [f"{'fault' if each.is_fault else 'note'}: {each.what}\n  {each.hint}" for each in findings]
    shown = [line for each in lines for line in each.splitlines()]
    session.output.data(document, [*shown, "the store is sound" if document["sound"] else "the store is not sound"])
    return 0 if document["sound"] else 1


OverwriteOption = Annotated[bool, typer.Option("--overwrite", help="Replace a file that is there already.")]
BackupArgument = Annotated[str, typer.Argument(metavar="FILE", help="Where the copy goes.")]


@reads(app, "backup", example="crmflow backup /backups/crm-$(date +%F).db")
def backup(session: Session, file: BackupArgument, *, overwrite: OverwriteOption = False) -> int | None:
    """Copy the store, while others may write to it.

    The copy is consistent, and it is checked before it takes its name.
    """
    from crmflow.operations import upkeep

    with session.open() as store:
        made = upkeep.back_up(store, file, overwrite=overwrite)
    session.output.report(made._asdict(), [f"copied the store to {made.path}: {made.bytes} bytes, checked"])
    return None
