"""The report as one page: it needs no network and runs no script.

Beside every chart stands a table with its numbers. What comes from outside is text in it (`markup`), and its policy
(`_POLICY`) lets it load nothing and send nothing.
"""

from collections.abc import Iterable, Sequence

from crmflow import __version__
from crmflow.cli.report import charts, words
from crmflow.cli.report.markup import Html, element, text
from crmflow.cli.report.style import STYLE
from crmflow.operations.report import Report, WorkflowReport

_POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"
_TOP = "overview"
_LOGS = "logs"

Cells = Sequence[str]


def page(report: Report) -> str:
    """Return the whole document; the same report gives the same text.

    Raises `CrmflowError` where the package that draws the charts is not installed.
    """
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", http_equiv="Content-Security-Policy", content=_POLICY),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("meta", name="color-scheme", content="light dark"),
        element("meta", name="referrer", content="no-referrer"),
        element("title", f"Workflow report of {report.store}"),
        element("style", Html(STYLE)),
    )
    body = element("body", *_body(report))
    return f"<!DOCTYPE html>\n{element('html', head, body, lang='en')}\n"


def _body(report: Report) -> Iterable[Html]:
    titles = {_TOP: "Overview", **{_anchor(at): each.workflow for at, each in enumerate(report.workflows)}}
    titles[_LOGS] = "Logs"
    links = (element("li", element("a", title, href=f"#{anchor}")) for anchor, title in titles.items())
    yield element("a", "Skip to the figures", class_="skip", href="#figures")
    yield element(
        "header",
        element("h1", "Workflow report"),
        element("p", f"Store {report.store}, {words.span(report.since, report.until)}. Made {report.made_at}."),
    )
    yield element("nav", element("ul", *links), aria_label="Parts of the report")
    yield element(
        "main",
        _overview(report),
        *(_workflow(at, each, report) for at, each in enumerate(report.workflows)),
        _logs(report),
        id="figures",
        tabindex="-1",
    )
    yield element(
        "footer",
        element("p", "Counts only: no record is named. Days begin at 0:00 UTC. ", f"Made by crmflow {__version__}."),
    )


def _overview(report: Report) -> Html:
    sums = {
        state: sum(getattr(each, state) for each in report.workflows)
        for state in ("enrolled", "active", "completed", "disenrolled")
    }
    tiles = (
        element("div", element("dt", state.capitalize()), element("dd", words.number(count)))
        for state, count in sums.items()
    )
    rows = [
        [
            Html(
                element("a", each.workflow, href=f"#{_anchor(at)}")
                + element("span", f" {each.type}{'' if each.in_force else ', removed'}", class_="quiet")
            ),
            *map(words.number, (each.enrolled, each.active, each.completed, each.disenrolled)),
            words.number(sum(cause.count for cause in each.exits_by_cause)),
        ]
        for at, each in enumerate(report.workflows)
    ]
    heads = ["workflow", "enrolled", "active", "completed", "disenrolled", "exits"]
    caption = "Enrollments that began in the time reported, by where they stand; and the exits that lie in it."
    return _section(
        _TOP,
        "Overview",
        element("dl", *tiles, class_="sums"),
        _table(caption, heads, rows) if rows else element("p", "There are no workflows.", class_="note"),
    )


def _workflow(at: int, workflow: WorkflowReport, report: Report) -> Html:
    said = (
        f"{workflow.type.capitalize()}s. {words.number(workflow.enrolled)} enrolled: {words.number(workflow.active)}"
        f" active, {words.number(workflow.completed)} completed, {words.number(workflow.disenrolled)} disenrolled."
        f"{'' if workflow.in_force else ' No longer in force.'}"
    )
    parts = [_funnel(workflow)] if workflow.enrolled else []
    if workflow.exits_by_cause:
        parts += [_exits(workflow, report), _time_to_exit(workflow)]
    else:
        parts.append(element("p", "No exits in this time.", class_="note"))
    return _section(_anchor(at), workflow.workflow, element("p", said, class_="note"), *parts)


def _funnel(workflow: WorkflowReport) -> Html:
    rows = [
        [
            words.step(stage.step),
            words.number(stage.reached),
            words.share(stage.reached, workflow.enrolled),
            *map(words.number, (stage.active, stage.completed, stage.disenrolled)),
        ]
        for stage in workflow.funnel
    ]
    told = ", ".join(f"{step} {count} ({share})" for step, count, share, *_ in rows)
    return _part(
        "Who came how far",
        _figure(charts.funnel(workflow), "Enrollments that completed at least this step.", f"Funnel: {told}."),
        _table(
            "Active, completed, disenrolled: of those who came no further.",
            ["step", "reached", "share", "active", "completed", "disenrolled"],
            rows,
        ),
    )


def _exits(workflow: WorkflowReport, report: Report) -> Html:
    causes = [each.by for each in workflow.exits_by_cause]
    whole = sum(each.count for each in workflow.exits_by_cause)
    periods: dict[tuple[str, str], dict[str, int]] = {}
    for each in workflow.exits_over_time:
        periods.setdefault((each.first_day, each.last_day), {})[each.by] = each.count
    rows = [
        [words.days(*period), words.number(sum(counts.values())), *(words.number(counts.get(by, 0)) for by in causes)]
        for period, counts in periods.items()
    ]
    sums = ["all", words.number(whole), *(words.number(each.count) for each in workflow.exits_by_cause)]
    told = ", ".join(f"{each.by} {words.number(each.count)}" for each in workflow.exits_by_cause)
    unit = report.exits_unit
    return _part(
        "Exits over time",
        _over_time(
            charts.exits_over_time(workflow, report),
            f"Exits per {unit}, a strip for each cause, all to one scale.",
            f"Exits per {unit} by cause: {told}. The numbers are in the table.",
        ),
        _table(f"Exits per {unit}; a {unit} without any is left out.", [unit, "all", *causes], [sums, *rows]),
    )


def _time_to_exit(workflow: WorkflowReport) -> Html:
    stays = workflow.time_to_exit
    whole = sum(each.count for each in workflow.exits_by_cause)
    rows = [
        [each.by, words.number(each.count), words.share(each.count, whole), words.length(each.half_within_hours)]
        for each in workflow.exits_by_cause
    ]
    told = ", ".join(f"{words.lengths(each.from_hours, each.to_hours)}: {each.count}" for each in stays if each.count)
    classes = [[words.lengths(each.from_hours, each.to_hours), words.number(each.count)] for each in stays]
    caption = "By cause: half of the exits came within this time."
    return _part(
        "Time from enrollment to exit",
        element(
            "div",
            _figure(
                charts.time_to_exit(stays), "Exits by the time since the enrollment began.", f"Exits after {told}."
            ),
            element("div", _table(caption, ["by", "exits", "share", "half within"], rows), class_="below"),
        ),
        _table("Exits by the time since the enrollment began.", ["after", "exits"], classes),
    )


def _logs(report: Report) -> Html:
    said = "Lines of logs belong to no workflow: these are of all. A rejected line is not understood; an unmatched one"
    note = element("p", f"{said} names a record or workflow that the store does not have.", class_="note")
    if not report.lines:
        return _section(_LOGS, "Logs", note, element("p", "No logs were read in this time.", class_="note"))
    unit = report.lines_unit
    rows = [
        [words.days(each.first_day, each.last_day), *map(words.number, (each.lines, each.rejected, each.unmatched))]
        for each in report.lines
    ]
    rejected, unmatched = (sum(getattr(each, name) for each in report.lines) for name in ("rejected", "unmatched"))
    told = f"Lines per {unit}: {words.number(rejected)} rejected, {words.number(unmatched)} unmatched in all."
    figure = _over_time(charts.lines_over_time(report), f"Lines per {unit} of their reading, to one scale.", told)
    table = _table(f"Lines per {unit} of their reading.", [unit, "lines read", "rejected", "unmatched"], rows)
    return _section(_LOGS, "Logs", note, _part("Rejected and unmatched lines over time", figure, table))


def _section(anchor: str, title: str, *content: Html) -> Html:
    return element("section", element("h2", title, id=anchor), *content, aria_labelledby=anchor)


def _part(title: str, figure: Html | None, beside: Html) -> Html:
    if figure is None:
        return Html(element("h3", title) + beside)
    return Html(element("h3", title) + element("div", figure, beside, class_="pair"))


def _over_time(spec: charts.Spec, caption: str, told: str) -> Html | None:
    """Return a chart over time, or None where all is in one period: a table says that better."""
    periods = {each["from"] for each in spec["data"]["values"]}
    return _figure(spec, caption, told) if len(periods) > 1 else None


def _figure(spec: charts.Spec, caption: str, told: str) -> Html:
    """Return a chart; who can't see it is told its content in a sentence, and its parts are passed over."""
    return element(
        "figure", element("figcaption", caption), element("div", charts.draw(spec), role="img", aria_label=told)
    )


def _table(caption: str, heads: Cells, rows: Iterable[Cells]) -> Html:
    """Return a table that scrolls in itself, by keyboard too, where it is too large for its place."""
    head = element("thead", element("tr", *(element("th", _breakable(each), scope="col") for each in heads)))
    body = element("tbody", *(_row(row) for row in rows))
    table = element("table", element("caption", element("span", caption)), head, body)
    return element("div", table, class_="scroll", role="region", aria_label=caption, tabindex="0")


def _breakable(word: str) -> Html:
    """Let the words of the vocabulary (`field_updated`) break where they are joined."""
    return Html(text(word).replace("_", "_<wbr>"))


def _row(row: Cells) -> Html:
    first, *others = row
    return element(
        "tr",
        element("th", first, scope="row"),
        *(element("td", each, class_="quiet" if each == "0" else None) for each in others),
    )


def _anchor(at: int) -> str:
    return f"workflow-{at + 1}"
