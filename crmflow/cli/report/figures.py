"""The report in a terminal, each figure as a table with bars, and as one table of rows that are all alike."""

from collections.abc import Iterable, Iterator

from crmflow.cli.render import Cell, Table, bar
from crmflow.cli.report import words
from crmflow.operations.report import Report, WorkflowReport

_BAR_WIDTH = 24


def plain(report: Report) -> Table:
    """Return every number as a row: which workflow, which figure, from where to where, of what, how many.

    `reached`, `active`, `completed` and `disenrolled` are of a step (empty: enrolled, before the first step); `exits`
    of a cause in days; `hours_to_exit` in hours; `lines` of logs (read, rejected, unmatched) in days.
    """
    rows = [row for workflow in report.workflows for row in _workflow_rows(workflow)]
    for each in report.lines:
        for what in ("lines", "rejected", "unmatched"):
            name = "read" if what == "lines" else what
            rows.append([None, "lines", each.first_day, each.last_day, name, getattr(each, what)])
    return Table(["workflow", "figure", "from", "to", "of", "count"], rows)


def _workflow_rows(workflow: WorkflowReport) -> Iterator[list[Cell]]:
    for stage in workflow.funnel:
        for state in ("reached", "active", "completed", "disenrolled"):
            yield [workflow.workflow, state, None, None, stage.step, getattr(stage, state)]
    for each in workflow.exits_over_time:
        yield [workflow.workflow, "exits", each.first_day, each.last_day, each.by, each.count]
    for stay in workflow.time_to_exit:
        yield [workflow.workflow, "hours_to_exit", stay.from_hours, stay.to_hours, None, stay.count]


def drawn(report: Report) -> Iterator[tuple[str, Table]]:
    """Yield the figures with their headings; one without numbers is left out."""
    columns = ["workflow", "type", "enrolled", "active", "completed", "disenrolled"]
    rows: list[list[Cell]] = [
        [_name(each), each.type, each.enrolled, each.active, each.completed, each.disenrolled]
        for each in report.workflows
    ]
    yield f"report of {report.store}, {words.span(report.since, report.until)}", Table(columns, rows)
    for workflow in report.workflows:
        yield from _workflow_figures(workflow, report.exits_unit)
    if report.lines:
        columns = [report.lines_unit, "lines read", "rejected", "unmatched"]
        lines: list[list[Cell]] = [
            [words.days(each.first_day, each.last_day), each.lines, each.rejected, each.unmatched]
            for each in report.lines
        ]
        yield f"logs by {report.lines_unit} of their reading", Table(columns, lines)


def _name(workflow: WorkflowReport) -> str:
    return workflow.workflow if workflow.in_force else f"{workflow.workflow} (removed)"


def _workflow_figures(workflow: WorkflowReport, unit: str) -> Iterator[tuple[str, Table]]:
    if workflow.enrolled:
        yield f"{workflow.workflow}: who came how far", _funnel(workflow)
    if workflow.exits_by_cause:
        yield f"{workflow.workflow}: exits by cause", _causes(workflow)
        yield f"{workflow.workflow}: exits over time", _over_time(workflow, unit)
        yield f"{workflow.workflow}: time from enrollment to exit", _stays(workflow)


def _funnel(workflow: WorkflowReport) -> Table:
    bars = _bars(stage.reached for stage in workflow.funnel)
    rows: list[list[Cell]] = [
        [
            words.step(stage.step),
            stage.reached,
            words.share(stage.reached, workflow.enrolled),
            bars[stage.reached],
            stage.active,
            stage.completed,
            stage.disenrolled,
        ]
        for stage in workflow.funnel
    ]
    return Table(["step", "reached", "share", "", "active here", "completed here", "disenrolled here"], rows)


def _causes(workflow: WorkflowReport) -> Table:
    bars = _bars(each.count for each in workflow.exits_by_cause)
    whole = sum(each.count for each in workflow.exits_by_cause)
    rows: list[list[Cell]] = [
        [each.by, each.count, words.share(each.count, whole), bars[each.count], words.length(each.half_within_hours)]
        for each in workflow.exits_by_cause
    ]
    return Table(["by", "exits", "share", "", "half within"], rows)


def _over_time(workflow: WorkflowReport, unit: str) -> Table:
    found: dict[tuple[str, str], list[str]] = {}
    counts: dict[tuple[str, str], int] = {}
    for each in workflow.exits_over_time:
        period = each.first_day, each.last_day
        found.setdefault(period, []).append(f"{each.by} {words.number(each.count)}")
        counts[period] = counts.get(period, 0) + each.count
    bars = _bars(counts.values())
    rows: list[list[Cell]] = [
        [words.days(*period), counts[period], bars[counts[period]], ", ".join(found[period])] for period in found
    ]
    return Table([unit, "exits", "", "by"], rows)


def _stays(workflow: WorkflowReport) -> Table:
    bars = _bars(each.count for each in workflow.time_to_exit)
    rows: list[list[Cell]] = [
        [words.lengths(each.from_hours, each.to_hours), each.count, bars[each.count]] for each in workflow.time_to_exit
    ]
    return Table(["after", "exits", ""], rows)


def _bars(counts: Iterable[int]) -> dict[int, str]:
    """Return a bar for each count, as long in proportion as the longest allows."""
    given = set(counts)
    longest = max(given)
    lengths = {count: max(1, round(count * _BAR_WIDTH / longest)) if count else 0 for count in given}
    return {count: bar([count], width=length) if length else " " for count, length in lengths.items()}
