"""`crmflow report`: the terminal, the pipe, and a page that runs nothing, fetches nothing and hides nothing."""

import re
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import replace
from html.parser import HTMLParser
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest

from crmflow.cli.report import page
from crmflow.cli.report.words import days, length, lengths, share, span
from crmflow.operations.report import ByCause, Exits, Lines, Report, Stage, Stay, WorkflowReport

if TYPE_CHECKING:
    from tests.cli.conftest import Crm

Run = Callable[..., subprocess.CompletedProcess[str]]

VOID = {"meta", "wbr"}
NASTY = "</script><script>alert(1)</script>&\"'\x1b[2J\u202e\ufffe\udc80<!--]]>${x}"


class Page(HTMLParser):
    """What a browser would find: every start tag with its attributes, and the text of each element of some tags."""

    def __init__(self, markup: str) -> None:
        """Read a document, whose elements must all be closed in order."""
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: dict[str, list[str]] = {}
        self._open: list[str] = []
        self.feed(markup)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Remember an element that begins."""
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self._open.append(tag)
            self.texts.setdefault(tag, []).append("")

    def handle_endtag(self, tag: str) -> None:
        """Hold that the element that ends is the one that began last."""
        assert self._open.pop() == tag

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Remember an element of a picture that has no content."""
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        """Add a text to all the elements that it stands in."""
        for tag in set(self._open):
            self.texts[tag][-1] += data

    def all(self, tag: str) -> list[dict[str, str | None]]:
        """Return the attributes of every element of a tag."""
        return [attributes for name, attributes in self.tags if name == tag]


@pytest.fixture
def lively(crm: "Crm") -> "Crm":
    """The small CRM after two days on which logs were read."""
    crm.log(
        "events.jsonl",
        {"type": "replied", "time": "2026-03-02T10:00:00Z", "prospect": "p-1"},
        {"type": "hard_bounced", "time": "2026-03-05T10:00:00Z", "prospect": "p-2"},
        {"type": "replied", "time": "2026-03-05T10:00:00Z", "prospect": "nobody"},
    )
    crm("ingest", "events.jsonl", "--at", "2026-03-06T00:00:00Z")
    crm.write("broken.jsonl", "what?\n")
    crm("ingest", "broken.jsonl", "--at", "2026-03-07T00:00:00Z", status=3)
    return crm


def written(crm: "Crm", *options: str) -> str:
    """Write the report as a page and return the page."""
    crm("report", "--out", "report.html", *options)
    return (crm.directory / "report.html").read_text(encoding="utf-8")


def hostile() -> Report:
    """Return a report in which every text is hostile, as no store should hold it."""
    workflow = WorkflowReport(
        workflow=NASTY,
        type=NASTY,
        in_force=True,
        enrolled=3,
        active=1,
        completed=0,
        disenrolled=2,
        funnel=(Stage(None, 3, 0, 0, 0), Stage(NASTY, 3, 1, 0, 2), Stage("enrolled", 0, 0, 0, 0)),
        exits_by_cause=(ByCause(NASTY, 2, 50),),
        exits_over_time=(Exits("2026-03-01", "2026-03-01", NASTY, 1), Exits("2026-03-02", "2026-03-02", NASTY, 1)),
        time_to_exit=(Stay(0, 24, 1), Stay(24, 48, 1)),
    )
    lines = (Lines("0001-01-01", "0001-12-31", 9, 1, 2), Lines("9999-01-01", "9999-12-31", 9, 0, 0))
    return Report(NASTY, "2026-03-01T00:00:00Z", None, None, "day", "year", (workflow,), lines)


def test_the_page_says_what_json_says(lively: "Crm") -> None:
    """Beside every chart stands a table, and the tables hold the numbers of `--json`."""
    document = lively.json("report")
    found = Page(written(lively))
    welcome = document["workflows"][-1]
    assert (welcome["workflow"], welcome["enrolled"], welcome["active"], welcome["disenrolled"]) == ("welcome", 3, 1, 2)
    tables = [" ".join(text.split()) for text in found.texts["tbody"]]
    assert len(found.texts["svg"]) == len(found.texts["figure"]) < len(tables)
    text = found.texts["main"][0]
    for workflow in document["workflows"]:
        assert f"{workflow['enrolled']} enrolled: {workflow['active']} active" in text
        for each in (*workflow["exits_by_cause"], *workflow["exits_over_time"]):
            assert any(each["by"] in head.replace("\u200b", "") for head in found.texts["th"])
    assert document["lines"] == [
        {"first_day": "2026-03-06", "last_day": "2026-03-06", "lines": 3, "rejected": 0, "unmatched": 1},
        {"first_day": "2026-03-07", "last_day": "2026-03-07", "lines": 1, "rejected": 1, "unmatched": 0},
    ]
    assert "2026-03-06301" in tables[-1]
    assert "2026-03-07110" in tables[-1]


def test_the_page_can_be_read_without_eyes_and_mouse(lively: "Crm") -> None:
    """Headings come in order, every region and picture has a name, every table a caption and headers."""
    markup = written(lively)
    found = Page(markup)
    levels = [int(tag[1]) for tag, _ in found.tags if re.fullmatch("h[1-6]", tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))
    assert found.all("html") == [{"lang": "en"}]
    for landmark in ("header", "nav", "main", "footer"):
        assert len(found.all(landmark)) == 1
    pictures = [each for each in found.all("div") if each.get("role") == "img"]
    assert len(pictures) == len(found.all("svg")) > 0
    assert all(each["aria-label"] for each in pictures)
    regions = [each for each in found.all("div") if each.get("role") == "region"]
    assert len(regions) == len(found.all("table")) == len(found.all("caption"))
    assert all(each["tabindex"] == "0" and each["aria-label"] for each in regions)
    assert all(each.get("scope") in {"col", "row"} for each in found.all("th"))
    identities = [each["id"] for _, each in found.tags if "id" in each]
    assert len(identities) == len(set(identities))
    targets = [str(each["href"]).removeprefix("#") for each in found.all("a")]
    assert set(targets) <= set(identities)
    assert all(each["aria-labelledby"] in identities for each in found.all("section"))


def test_the_page_is_alone_in_the_world(lively: "Crm") -> None:
    """The page has no script, names no address and may load nothing; it follows light, dark and paper."""
    markup = written(lively)
    found = Page(markup)
    names = {tag for tag, _ in found.tags}
    assert not names & {
        "script",
        "link",
        "img",
        "iframe",
        "object",
        "embed",
        "form",
        "base",
        "image",
        "use",
        "foreignobject",
    }
    for tag, attributes in found.tags:
        assert not [name for name in attributes if name.startswith("on") or name in {"src", "style", "srcset"}]
        for name in ("href", "xlink:href"):
            assert (attributes.get(name) or "#").startswith("#"), tag
    addresses = set(re.findall(r"\w+://[^\"'\s<]*", markup))
    assert addresses == {"http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"}
    assert "url(" not in markup
    assert "@import" not in markup
    [policy] = [each["content"] for each in found.all("meta") if each.get("http-equiv") == "Content-Security-Policy"]
    assert str(policy).startswith("default-src 'none'; ")
    assert "script" not in str(policy)
    for media in ("(prefers-color-scheme: dark)", "print"):
        assert f"@media {media}" in markup


def test_nobody_is_named(lively: "Crm") -> None:
    """A report has counts only: no key, no email, no name of a record, no path of a log or of the store."""
    for said in (written(lively), lively("report").stdout, lively("report", "--json").stdout):
        assert not re.search(r"p-[123]|D-1|o-1|acme|Ana|events\.jsonl|broken", said)
        assert str(lively.directory) not in said


def test_what_comes_from_outside_is_text() -> None:
    """Whatever a name holds, it ends nothing and begins nothing, and what does not print is shown as its escape."""
    markup = page.page(hostile())
    found = Page(markup)
    assert "script" not in {tag for tag, _ in found.tags}
    assert found.texts["h2"][1] == ("</script><script>alert(1)</script>&\"'\\x1b[2J\\u202e\\ufffe\\udc80<!--]]>${x}")
    assert all(each.isprintable() or each == "\n" for each in markup)
    assert markup.encode()


def test_the_same_report_is_the_same_page() -> None:
    """The page depends on nothing but the report."""
    assert page.page(hostile()) == page.page(hostile())
    assert page.page(hostile()) != page.page(replace(hostile(), made_at="2026-03-02T00:00:00Z"))


def test_a_report_of_nothing_is_a_page(bare: "Crm") -> None:
    """An empty store has a report: it says that there is nothing."""
    bare("init")
    assert bare.json("report")["workflows"] == []
    assert bare("report").stdout == ""
    text = Page(written(bare)).texts["main"][0]
    assert "There are no workflows." in text
    assert "No logs were read in this time." in text


def test_a_pipe_gets_rows(lively: "Crm") -> None:
    """In a pipe every number is a row of six cells; `--csv` puts a header above them."""
    rows = [line.split("\t") for line in lively("report", "--workflow", "welcome").stdout.splitlines()]
    assert {len(row) for row in rows} == {6}
    assert ["welcome", "reached", "-", "-", "-", "3"] in rows
    assert ["welcome", "exits", "2026-03-02", "2026-03-02", "replied", "1"] in rows
    assert ["welcome", "hours_to_exit", "30", "36", "-", "1"] in rows
    assert ["-", "lines", "2026-03-06", "2026-03-06", "unmatched", "1"] in rows
    header, first, *_ = lively("report", "--csv", "--workflow", "welcome").stdout.splitlines()
    assert (header, first) == ("workflow,figure,from,to,of,count", "welcome,reached,,,,3")


def test_a_terminal_gets_tables_with_bars(lively: "Crm", terminal: Run) -> None:
    """On a terminal each figure is a table under its heading, with bars."""
    command = ("-m", "crmflow", "--db", str(lively.store), "report", "-w", "welcome")
    shown = terminal(*command, columns=110, env={"NO_COLOR": "1"}).stdout
    assert shown.startswith("report of crm.db, all time\n")
    assert "\nwelcome: exits by cause\n" in shown
    assert re.search(r"replied +1 +50% +█+ +35 h", shown)


def test_a_time_narrows_the_report(lively: "Crm") -> None:
    """`--from` is the first moment that counts, `--to` the first that does not."""
    narrow = lively.json("report", "--from", "2026-03-02T10:00:00Z", "--to", "2026-03-05T10:00:00Z")
    assert (narrow["from"], narrow["to"]) == ("2026-03-02T10:00:00Z", "2026-03-05T10:00:00Z")
    assert [each["enrolled"] for each in narrow["workflows"]] == [0, 0, 0, 0]
    assert [each["count"] for each in narrow["workflows"][-1]["exits_by_cause"]] == [1]
    assert narrow["lines"] == []
    assert "no RFC 3339" not in lively.refused("report", "--from", "yesterday", status=2)
    assert "--to: a date, not a time" in lively.refused("report", "--to", "2026-03-01", status=2)
    assert "there is no workflow 'welcom'" in lively.refused("report", "-w", "welcom")


def test_a_page_is_its_owners(lively: "Crm") -> None:
    """The page is readable for its owner only, replaces nothing unless asked to, and leaves nothing else behind."""
    said = lively.json("report", "--out", "report.html")
    made = lively.directory / "report.html"
    assert said == {"path": "report.html", "bytes": made.stat().st_size}
    assert made.stat().st_mode & 0o777 == 0o600
    made.write_text("precious")
    before = sorted(lively.directory.iterdir())
    assert "report.html is there already" in lively.refused("report", "--out", "report.html")
    assert made.read_text() == "precious"
    assert "wrote report.html: " in lively("report", "--out", "report.html", "--overwrite").stdout
    assert made.read_text().startswith("<!DOCTYPE html>")
    assert sorted(lively.directory.iterdir()) == before


@pytest.mark.parametrize("target", ["crm.db", "nowhere/report.html", ""])
def test_a_page_needs_a_place(crm: "Crm", target: str) -> None:
    """The store itself, a directory that is not there and no name at all are refused, even with `--overwrite`."""
    crm.refused("report", "--out", target, "--overwrite", status=1 if target else 2)


def test_without_the_extra_there_is_a_report(crm: "Crm", environment: Mapping[str, str]) -> None:
    """Where the package that draws is not installed, `--out` says what to install, and the rest works."""
    without = crm.directory / "without"
    without.mkdir()
    (without / "vl_convert.py").write_text("raise ImportError('not installed')\n")
    search = {"PYTHONPATH": f"{without}:{environment['PYTHONPATH']}"}
    ran = crm("report", "--out", "report.html", env=search, status=1)
    assert ran.stderr.startswith("error: a page needs the package vl-convert-python")
    assert "hint: pip install vl-convert-python" in ran.stderr
    assert not (crm.directory / "report.html").exists()
    assert crm("report", env=search).stdout == crm("report").stdout != ""


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        (share(1, 3), "33%"),
        (share(0, 3), "0%"),
        (share(1, 1000), "<1%"),
        (share(999, 1000), ">99%"),
        (share(5, 5), "100%"),
        (share(0, 0), ""),
        (length(47), "47 h"),
        (length(49), "2.1 d"),
        (lengths(0, 6), "0\N{EN DASH}6 h"),
        (lengths(24, 72), "1\N{EN DASH}3 d"),
        (days("2026-03-01", "2026-03-07"), "2026-03-01 to 2026-03-07"),
        (span("A", None), "from A"),
        (span("A", "B"), "from A, before B"),
    ],
)
def test_numbers_are_said_truthfully(said: str, expected: str) -> None:
    """A part is never rounded to nothing or to all, and half of the exits did come within the time that is said."""
    assert said == expected
