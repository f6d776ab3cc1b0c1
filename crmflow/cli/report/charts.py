"""The charts of the page: Vega-Lite specifications, drawn here and now as SVG, so that the page needs no script.

Colors are the page's variables, which follow the reader's light or dark mode. What a color says is said by a word too.
"""

from collections.abc import Iterable, Sequence
from datetime import date
from typing import Any

from crmflow.cli.render import visible
from crmflow.cli.report import words
from crmflow.cli.report.markup import Html
from crmflow.core.errors import CrmflowError
from crmflow.operations.periods import Unit
from crmflow.operations.report import Report, Stay, WorkflowReport

try:
    import vl_convert
except ImportError as error:
    raise CrmflowError(
        "a page needs the package vl-convert-python, which draws its charts and is not installed",
        hint="pip install vl-convert-python (the extra crmflow[report]); without --out it is not needed",
    ) from error

Spec = dict[str, Any]

_VERSION = "6.4"
_WIDTH = 380
_NAME_WIDTH = 104
_LABEL_WIDTH = 76
_ROW_HEIGHT = 30
_STRIP_HEIGHT = 34
_STRIP_GAP = 24
_STAYS_HEIGHT = 150
_MOST_DAYS_NAMED = 5
_TEXT, _QUIET, _LINE, _TRACK = "var(--text)", "var(--quiet)", "var(--line)", "var(--track)"
_BAR, _END = "var(--bar)", "var(--end)"
_CONFIG: Spec = {
    "aria": False,
    "background": None,
    "font": "system-ui, -apple-system, 'Segoe UI', Roboto, 'Liberation Sans', Arial, sans-serif",
    "view": {"stroke": None},
    "axis": {
        "labelColor": _QUIET,
        "titleColor": _QUIET,
        "labelFontSize": 12,
        "titleFontSize": 12,
        "titleFontWeight": "normal",
        "gridColor": _LINE,
        "domainColor": _LINE,
        "tickColor": _LINE,
    },
    "bar": {"color": _BAR},
    "rect": {"color": _BAR},
    "text": {"color": _TEXT, "fontSize": 12},
}
_COUNT_AXIS: Spec = {"title": None, "tickCount": 2, "tickMinStep": 1, "format": ",d", "domain": False, "ticks": False}
_RANGED_BAR: Spec = {"type": "rect", "x2Offset": -1}
"""A bar from one place of the axis to another, with a gap to the next one."""

_DAY_FORMATS: dict[Unit, str] = {"day": "%-d %b", "week": "%-d %b %Y", "month": "%b %Y", "year": "%Y"}


def draw(spec: Spec) -> Html:
    """Return the SVG of a specification; nothing is fetched for it."""
    whole = {"config": _CONFIG, "padding": 2, **spec}
    return Html(vl_convert.vegalite_to_svg(whole, vl_version=_VERSION, allowed_base_urls=[]))


def funnel(workflow: WorkflowReport) -> Spec:
    """Return the stages as bars from the top down, each with its count and its share of the enrolled."""
    rows = [
        {
            "place": place,
            "step": visible(words.step(stage.step)),
            "reached": stage.reached,
            "label": f"{words.number(stage.reached)} \N{MIDDLE DOT} {words.share(stage.reached, workflow.enrolled)}",
        }
        for place, stage in enumerate(workflow.funnel)
    ]
    label_at = _WIDTH - _LABEL_WIDTH
    scale = {"domain": [0, workflow.enrolled], "range": [_NAME_WIDTH, label_at - 8], "nice": False}
    reached = {"type": "quantitative", "scale": scale, "axis": None, "stack": None}
    bar = {"type": "bar", "cornerRadius": 3, "height": {"band": 0.7}}
    return {
        "width": _WIDTH,
        "height": {"step": _ROW_HEIGHT},
        "data": {"values": rows},
        "encoding": {"y": {"field": "place", "type": "ordinal", "axis": None}},
        "layer": [
            {"mark": {**bar, "color": _TRACK}, "encoding": {"x": {**reached, "datum": workflow.enrolled}}},
            {"mark": bar, "encoding": {"x": {**reached, "field": "reached"}}},
            _text_at(0, "step", limit=_NAME_WIDTH - 8),
            _text_at(label_at, "label"),
        ],
    }


def _text_at(x: int, field: str, **mark: int) -> Spec:
    return {
        "mark": {"type": "text", "align": "left", **mark},
        "encoding": {"x": {"value": x}, "text": {"field": field, "type": "nominal"}},
    }


def exits_over_time(workflow: WorkflowReport, report: Report) -> Spec:
    """Return a strip of bars for each cause, the most frequent first, over the time of all exits of the report."""
    rows = [
        {"by": visible(each.by), "count": each.count, **_bounds(each.first_day, each.last_day)}
        for each in workflow.exits_over_time
    ]
    causes = [visible(each.by) for each in workflow.exits_by_cause]
    periods = [(each.first_day, each.last_day) for one in report.workflows for each in one.exits_over_time]
    return _strips(rows, causes, periods, report.exits_unit)


def lines_over_time(report: Report) -> Spec:
    """Return one strip for the lines rejected and one for those unmatched."""
    rows = [
        {"by": name, "count": getattr(each, name), **_bounds(each.first_day, each.last_day)}
        for each in report.lines
        for name in ("rejected", "unmatched")
    ]
    periods = [(each.first_day, each.last_day) for each in report.lines]
    return _strips(rows, ["rejected", "unmatched"], periods, report.lines_unit)


def time_to_exit(stays: Sequence[Stay]) -> Spec:
    """Return a histogram of the time from enrollment to exit, in hours or days."""
    in_days = all((each.to_hours - each.from_hours) % words.HOURS_A_DAY == 0 for each in stays)
    unit = words.HOURS_A_DAY if in_days else 1
    rows = [{"from": each.from_hours / unit, "to": each.to_hours / unit, "count": each.count} for each in stays]
    title = f"{'days' if in_days else 'hours'} from enrollment to exit"
    x_axis = {"title": title, "grid": False, "tickMinStep": 1, "tickCount": 8, "labelFlush": False}
    domain = [stays[0].from_hours / unit, stays[-1].to_hours / unit]
    return {
        "width": _WIDTH,
        "height": _STAYS_HEIGHT,
        "data": {"values": rows},
        "mark": _RANGED_BAR,
        "encoding": {
            "x": {"field": "from", "type": "quantitative", "scale": {"domain": domain, "nice": False}, "axis": x_axis},
            "x2": {"field": "to"},
            "y": {"field": "count", "type": "quantitative", "axis": {**_COUNT_AXIS, "tickCount": 4}},
            "y2": {"datum": 0},
        },
    }


def _strips(rows: list[Spec], names: Sequence[str], periods: Iterable[tuple[str, str]], unit: Unit) -> Spec:
    """Return bars over time, a strip for each name, all on the same two scales."""
    return {
        "data": {"values": rows},
        "spacing": _STRIP_GAP,
        "facet": {
            "row": {
                "field": "by",
                "type": "nominal",
                "sort": list(names),
                "title": None,
                "header": {
                    "labelOrient": "top",
                    "labelAnchor": "start",
                    "labelPadding": 4,
                    "labelColor": _TEXT,
                    "labelFontSize": 12,
                },
            }
        },
        "spec": {
            "width": _WIDTH,
            "height": _STRIP_HEIGHT,
            "mark": _RANGED_BAR,
            "encoding": {
                "x": {
                    "field": "from",
                    "type": "temporal",
                    **_time_axis(periods, unit),
                },
                "x2": {"field": "to"},
                "y": {"field": "count", "type": "quantitative", "axis": _COUNT_AXIS},
                "y2": {"datum": 0},
                "color": {"condition": {"test": "datum.by === 'completed'", "value": _END}, "value": _BAR},
            },
        },
    }


def _time_axis(periods: Iterable[tuple[str, str]], unit: Unit) -> Spec:
    """Return the scale from the first day to the last, and an axis on which a few days are named."""
    known = list(periods)
    first, last = min(first for first, _ in known), max(last for _, last in known)
    bounds = _bounds(first, last)
    from_day, to_day = (date.fromisoformat(each).toordinal() for each in (first, last))
    step = (to_day - from_day) // _MOST_DAYS_NAMED + 1
    named = [f"{date.fromordinal(day).isoformat()}T00:00:00Z" for day in range(from_day, to_day + 1, step)]
    return {
        "scale": {"type": "utc", "domain": [bounds["from"], bounds["to"]], "nice": False},
        "axis": {"title": None, "grid": False, "values": named, "format": _DAY_FORMATS[unit], "labelOverlap": True},
    }


def _bounds(first_day: str, last_day: str) -> Spec:
    return {"from": f"{first_day}T00:00:00Z", "to": f"{last_day}T23:59:59Z"}
