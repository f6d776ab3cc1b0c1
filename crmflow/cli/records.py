"""`crmflow record ...`: prospects, organizations and deals."""

from collections.abc import Sequence
from typing import Annotated, Any

import typer

from crmflow.cli.render import Table
from crmflow.cli.session import (
    PARTLY_DONE,
    FileArgument,
    RefArgument,
    Session,
    changes,
    group,
    reads,
    told_scrubbed,
    total_bytes,
)

app = group("record", "Records: prospects, organizations, deals.")

TypeArgument = Annotated[str, typer.Argument(metavar="TYPE", help="prospect, organization or deal.")]
FieldsArgument = Annotated[
    list[str] | None,
    typer.Argument(metavar="FIELD=VALUE", help="Fields; a value is text, a number, true, false, null."),
]
SetFieldsArgument = Annotated[list[str], typer.Argument(metavar="FIELD=VALUE", help="The fields to set.")]


@changes(app, "import", example="crmflow record import prospect prospects.csv")
def import_(session: Session, type_: TypeArgument, file: FileArgument) -> int | None:
    """Import records from CSV, TSV or JSON lines.

    New ones are added. A field that changes is an update, which a trigger may take.

    The column key identifies a record (for prospects email will do), every other column is a field. A column
    organization (of prospects and deals) and a deal's prospects (keys, separated by spaces) link to records.
    """
    from crmflow.operations import import_records
    from crmflow.operations.lookup import parse_type

    kind = parse_type(type_)
    with session.changing() as store, session.output.progress(f"importing {file}", total_bytes([file])) as progress:
        summary = import_records.import_records(
            store, kind, file, session.moment, lambda table: progress.update(table.bytes_read)
        )
    counts = ("added", "changed", "unchanged", "invalid", "exits", "moved")
    document = summary.as_json()
    session.output.report(document, [", ".join(f"{document[name]} {name}" for name in counts)])
    for row in summary.rows:
        session.output.warn(f"{file}:{row['row']}: {row['reason']}")
    return PARTLY_DONE if summary.invalid else None


@changes(app, "add", example="crmflow record add prospect:p-1 email=ana@acme.example status=lead")
def add(session: Session, ref: RefArgument, fields: FieldsArgument = None) -> int | None:
    """Add one record."""
    from crmflow.operations import edit_record

    with session.changing() as store:
        added = edit_record.add(store, ref, fields or [], session.moment)
    session.output.report(added._asdict(), [f"added {added.type}:{added.record}"])
    return None


@changes(app, "set", example="crmflow record set prospect:p-1 status=customer")
def set_(session: Session, ref: RefArgument, fields: SetFieldsArgument) -> int | None:
    """Set fields of one record.

    A field that changes is an update, which a trigger may take; one that has the value already is not.
    """
    from crmflow.operations import edit_record

    with session.changing() as store:
        edited = edit_record.set_fields(store, ref, fields, session.moment)
    name = f"{edited.type}:{edited.record}"
    words = (
        f"{name}: set {', '.join(edited.changed) or 'its links'}"
        if edited.run or edited.changed
        else f"{name}: nothing to change"
    )
    session.output.report(edited._asdict(), [f"{words}{_consequences(edited.exits, edited.moved)}"])
    return None


def _consequences(exits: int, moved: int) -> str:
    return f"; {exits} enrollments ended, {moved} exits moved" if exits or moved else ""


@reads(app, "show", example="crmflow record show prospect:ana@acme.example")
def show(session: Session, ref: RefArgument) -> int | None:
    """Show one record with its fields, links and enrollments."""
    from crmflow.operations import edit_record

    with session.open() as store:
        shown = edit_record.show(store, ref)
    session.output.data(shown, _lines(shown))
    return None


def _lines(record: dict[str, Any]) -> list[str]:
    from crmflow.core.triggers import written

    lines = [f"{record['type']}:{record['key']}"]
    if record.get("email"):
        lines.append(f"  email: {record['email']}{' (hard-bounced)' if record.get('bounced') else ''}")
    lines += [f"  {name}: {written(value)}" for name, value in record["fields"].items()]
    if record.get("prospects"):
        lines.append(f"  prospects: {' '.join(record['prospects'])}")
    for each in record["enrollments"]:
        left = f", left at {each['exited_at']} ({_cause(each['exit'])})" if each["exit"] else ""
        lines.append(f"  {each['workflow']}: {each['state']}, enrolled at {each['enrolled_at']}{left}")
    return lines


def _cause(exit_: dict[str, Any]) -> str:
    return str(exit_["trigger"] or exit_["cause"])


@reads(
    app,
    "list",
    example="crmflow record list deal --json | jq -r '.[].key'\ncrmflow record list prospect --csv > prospects.csv",
    lists=True,
)
def list_(session: Session, type_: TypeArgument) -> int | None:
    """List the records of a type."""
    from crmflow.operations import edit_record
    from crmflow.operations.lookup import parse_type

    with session.open() as store:
        listed = edit_record.listed(store, parse_type(type_))
    if session.output.csv:
        session.output.data(listed, _by_field(listed))
    else:
        rows = [[each["key"], each.get("email"), _fields(each["fields"])] for each in listed]
        session.output.data(listed, Table(["key", "email", "fields"], rows))
    return None


def _by_field(listed: Sequence[dict[str, Any]]) -> Table:
    """Return a table with a column for each field, as `record import` reads it."""
    from crmflow.core.triggers import written

    emails = ["email"] if any("email" in each for each in listed) else []
    fields = list(dict.fromkeys(name for each in listed for name in each["fields"]))
    rows = [
        [
            *(each[name] for name in ("key", *emails)),
            *(written(each["fields"][name]) if name in each["fields"] else None for name in fields),
        ]
        for each in listed
    ]
    return Table(["key", *emails, *fields], rows)


def _fields(fields: dict[str, Any]) -> str:
    from crmflow.core.triggers import written

    return " ".join(f"{name}={written(value)}" for name, value in fields.items())


@changes(app, "remove", example="crmflow record remove prospect:ana@acme.example")
def remove(session: Session, ref: RefArgument) -> int | None:
    """Forget a record for good.

    Its name, fields, emails, bounces and rejects go; its enrollments stay as numbers.
    """
    from crmflow.operations import edit_record

    with session.changing() as store:
        removed = edit_record.remove(store, ref, session.moment)
    words = f"removed {removed.type}:{removed.record}: {removed.enrollments} enrollments lost their name"
    session.output.report(removed._asdict(), [f"{words}, {removed.rejects} rejects are gone"])
    session.output.say("what is left of it lies in the logs and in backups: those are yours")
    return told_scrubbed(session, scrubbed=removed.scrubbed)
