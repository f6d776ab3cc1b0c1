"""`crmflow workflow ...`: the definitions."""

from typing import TYPE_CHECKING, Annotated

import typer

from crmflow.cli import consequences
from crmflow.cli.render import Table
from crmflow.cli.session import FAILED, PARTLY_DONE, Session, changes, given, group, reads, usage

if TYPE_CHECKING:
    from crmflow.core.model import Trigger
    from crmflow.operations.rule_tests import Findings, Verdict
    from crmflow.operations.workflows import Change

app = group("workflow", "Workflows: checking them, putting them in force.")

FilesArgument = Annotated[
    list[str], typer.Argument(metavar="FILE", parser=given, help="Workflow files (YAML), one workflow in each.")
]
TestFilesArgument = Annotated[
    list[str],
    typer.Argument(
        metavar="FILE", parser=given, help="Workflow files, or the scenario files beside them (NAME.scenarios.yaml)."
    ),
]
StrictOption = Annotated[bool, typer.Option("--strict", help="Let warnings fail, too.")]
ScenariosOption = Annotated[bool, typer.Option("--scenarios", help="That of scenario files.")]
PastOption = Annotated[bool, typer.Option("--past", help="Reconsider what was read of logs, too.")]
EventsOption = Annotated[
    list[str] | None,
    typer.Option(
        "--events", metavar="FILE", parser=given, help="As --past; a log that lies elsewhere now. May be repeated."
    ),
]
OutOption = Annotated[str | None, typer.Option("--out", metavar="FILE", parser=given, help="Write the plan there.")]
OverwriteOption = Annotated[bool, typer.Option("--overwrite", help="Replace a file that is there already.")]
ReopenOption = Annotated[bool, typer.Option("--reopen", help="Reopen what the rules of a plan no longer support.")]
NameArgument = Annotated[str, typer.Argument(metavar="NAME", help="The workflow.")]
DisenrollOption = Annotated[bool, typer.Option("--disenroll", help="Take the records out that are active in it.")]


@reads(app, "check", example="crmflow workflow check workflows/*.yaml")
def check(session: Session, files: FilesArgument) -> int | None:
    """Check workflow files; no store is needed.

    Every fault of every file is shown with line and column, and the exit status is 1. Scenario files among them are
    checked too.
    """
    from crmflow.operations import check_workflows

    checked = check_workflows.check(files)
    session.output.report(checked, [f"{each['path']}: {each['workflow']} is sound" for each in checked])
    for path in check_workflows.scenario_files(files):
        session.output.say(f"{path}: sound scenarios (crmflow workflow test runs them)")
    return None


@reads(app, "test", example="crmflow workflow test workflows/*.yaml\ncrmflow workflow test --strict welcome.yaml")
def run_scenarios(session: Session, files: TestFilesArgument, *, strict: StrictOption = False) -> int | None:
    """Run the scenarios beside workflow files; no store is needed.

    The scenarios of welcome.yaml are in welcome.scenarios.yaml: events, who must leave when by what, and who must
    stay. Where it comes otherwise, the difference is printed and the exit status is 1. Triggers that no scenario
    exercises, and triggers that can never decide because another one always comes first, are warnings.
    """
    from crmflow.operations import rule_tests

    tested = rule_tests.run(files)
    failed = sum(len(each.failures) for each in tested)
    count = sum(len(each.tests.scenarios) for each in tested)
    document = {"scenarios": count, "failed": failed, "workflows": [each.as_json() for each in tested]}
    session.output.data(document, [line for each in tested for line in _failures(each)])
    warnings = [words for each in tested for words in _warnings(each)]
    for words in warnings:
        session.output.warn(words)
    names = ", ".join(each.tests.definition.workflow.workflow for each in tested)
    session.output.say(f"{count} scenarios ({names}): {f'{failed} failed' if failed else 'all as expected'}")
    return FAILED if failed or (strict and warnings) else None


def _failures(tested: "Findings") -> list[str]:
    """Return, for each scenario that failed, where it stands and what is expected (-) and found (+)."""
    lines = []
    for scenario in tested.failures:
        lines.append(f"{tested.tests.path}:{scenario.line}: {scenario.name}")
        for verdict in tested.of(scenario):
            if not verdict.is_right:
                lines += _difference(verdict, tested.tests.definition.path)
    return lines


def _difference(verdict: "Verdict", path: str) -> list[str]:
    from crmflow.core.times import shown

    expected, found = verdict.expected, verdict.found
    must = f"leaves at {shown(expected.at)} by {expected.by}" if expected else "stays"
    does = "stays"
    if found:
        trigger = f", trigger in line {found.trigger.line} of {path}" if found.trigger else ""
        does = f"leaves at {shown(found.at)} by {found.by} (event in line {found.event_line}{trigger})"
    return [f"- {verdict.record} {must}", f"+ {verdict.record} {does}"]


def _warnings(tested: "Findings") -> list[str]:
    path = tested.tests.definition.path
    never = [
        f"{path}:{each.trigger.line}: {each.trigger.trigger} can never decide: {_listed(each.by)} always comes first"
        for each in tested.shadowed
    ]
    return never + [f"{path}:{each.line}: no scenario exercises {each.trigger}" for each in tested.unexercised]


def _listed(triggers: "tuple[Trigger, ...]") -> str:
    return " or ".join(f"{each.trigger} in line {each.line}" for each in triggers)


@reads(
    app,
    "plan",
    example="""
    crmflow workflow plan workflows/*.yaml --out plan.json
    crmflow workflow plan welcome.yaml --past --out plan.json
    """,
)
def plan(
    session: Session,
    files: FilesArgument,
    *,
    past: PastOption = False,
    events: EventsOption = None,
    out: OutOption = None,
    overwrite: OverwriteOption = False,
) -> int | None:
    """Show what these files would change, and write it down.

    Changed definitions act from now on; with --past, or --events, on all that was read of logs, too: new exits, exits
    that move, and exits that the new rules no longer support. Nothing is changed: crmflow workflow apply plan.json
    does what the plan says.
    """
    from crmflow.operations import plan as operation

    with session.open() as store:
        given_logs = (events or []) if past or events else None
        made = operation.plan(store, files, session.moment, given_logs)
        if out is not None:
            operation.write(made.plan, out, overwrite=overwrite)
    document = {"path": out, **made.as_json()}
    if session.output.json:
        session.output.document(document)
    else:
        session.output.lines(_differences(made.definitions))
        session.output.data(document, consequences.table(document["changes"]))
    if made.plan.past:
        session.output.say(consequences.counts(document["changes"]))
    else:
        session.output.say("it acts on what is read from then on; what was read stays as it is (--past reconsiders it)")
    for path in made.plan.gone:
        session.output.warn(f"{path} can't be read again (name it with --events)")
    if made.plan.gone:
        session.output.warn(f"in doubt by that: {made.plan.doubtful} enrollments")
    return PARTLY_DONE if made.plan.gone else None


@changes(app, "apply", example="crmflow workflow apply workflows/*.yaml --dry-run\ncrmflow workflow apply plan.json")
def apply(
    session: Session, files: FilesArgument, *, reopen: ReopenOption = False, events: EventsOption = None
) -> int | None:
    """Put the workflows of these files in force, or do what a plan says.

    The difference to what is in force is printed. Workflows that none of the files declares are left alone. A plan
    (FILE.json, made by crmflow workflow plan) is refused where the store has moved on in what it touches.
    """
    from crmflow.operations import workflows

    if any(each.endswith(".json") for each in files):
        return _apply_plan(session, files, events or [], reopen=reopen)
    if reopen or events:
        raise usage("--reopen and --events are for a plan", hint="make one with: crmflow workflow plan")
    with session.changing() as store:
        applied = workflows.apply(store, files, session.moment)
    session.output.report(applied.as_json(), _differences(applied.changes))
    if applied.untouched:
        session.output.say(f"in force and in none of these files, left alone: {', '.join(applied.untouched)}")
    return None


def _differences(changes: "list[Change]") -> list[str]:
    return [line for each in changes for line in (f"{each.change}: {each.workflow} ({each.path})", *each.diff)]


def _apply_plan(session: Session, files: list[str], events: list[str], *, reopen: bool) -> int | None:
    from crmflow.operations import plan as operation

    if len(files) > 1:
        raise usage("a plan is applied by itself", hint="name one file")
    with session.changing() as store:
        done = operation.carry_out(store, operation.read_plan(files[0]), session.moment, events, may_reopen=reopen)
    session.output.report(done.as_json(), consequences.table(done.changes))
    session.output.say(f"in force: {', '.join(done.workflows) or 'nothing new'}; {consequences.counts(done.changes)}")
    if done.left:
        session.output.say(f"{done.left} that the new rules would reopen stay as they are (--reopen)")
    return None


@reads(app, "list", example="crmflow workflow list", lists=True)
def list_(session: Session) -> int | None:
    """List the workflows in force."""
    from crmflow.operations import workflows

    with session.open() as store:
        listed = workflows.listed(store)
    columns = ["workflow", "type", "steps", "triggers", "active", "applied_at", "description"]
    session.output.data(listed, Table(columns, [[each[column] for column in columns] for each in listed]))
    return None


@reads(app, "show", example="crmflow workflow show welcome")
def show(session: Session, name: NameArgument) -> int | None:
    """Show a workflow in force, as its file declared it."""
    from crmflow.operations import workflows

    with session.open() as store:
        shown = workflows.show(store, name)
    session.output.data(shown, str(shown["source"]).splitlines())
    session.output.say(
        f"version {shown['versions']}, digest {shown['digest'][:12]}, in force since {shown['applied_at']},"
        f" from {shown['path']}; {shown['active']} active"
    )
    return None


@changes(app, "remove", example="crmflow workflow remove welcome --disenroll")
def remove(session: Session, name: NameArgument, *, disenroll: DisenrollOption = False) -> int | None:
    """Take a workflow out of force; its history stays.

    Refused while records are active in it, unless they are to leave with it.
    """
    from crmflow.operations import workflows

    with session.changing() as store:
        removed = workflows.remove(store, name, session.moment, with_disenrolling=disenroll)
    session.output.report(removed._asdict(), [f"removed {name}; {removed.disenrolled} records left it"])
    return None


@reads(app, "schema", example="crmflow workflow schema > workflow.schema.json")
def schema(session: Session, *, scenarios: ScenariosOption = False) -> int | None:
    """Print the JSON Schema of workflow files.

    With it an editor completes and checks a file while it is written.
    """
    from crmflow.operations import check_workflows, rule_tests

    session.output.document(rule_tests.schema() if scenarios else check_workflows.schema())
    return None
