"""What is seen: characters, tables, documents, bars, progress."""

import json
import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crmflow.cli.render import bar, legend, visible

Run = Callable[..., subprocess.CompletedProcess[str]]
Script = Callable[[str], str]

HOSTILE = "\x1b]52;c;eA==\x07 \x9b31m \x85 \r\u2028 \u202e\u2066 \u200b\ufeff \U000e0041 \ud800 [red]x[/red] :smile:"

PREAMBLE = """
import sys
from crmflow.cli.render import *
prepare_streams()
output = Output(json="--json" in sys.argv, quiet="--quiet" in sys.argv)
"""
TABLE = 'output.data([{"a": 1}], Table(["record", "count"], [["p-1", 7], ["a\\tb\\nc", None], ["", 12]]))'


@pytest.fixture
def script(tmp_path: Path) -> Script:
    """Write a script that has an `output`, and return its path."""

    def write(body: str) -> str:
        path = tmp_path / "script.py"
        path.write_text(PREAMBLE + body, encoding="utf-8")
        return str(path)

    return write


@given(st.text(alphabet=st.characters(categories=None, exclude_characters="\\")))
def test_nothing_that_does_not_print_stays(text: str) -> None:
    """Whatever comes in, only characters that print go out, and they tell what came in."""
    seen = visible(text)
    assert seen.isprintable()
    assert (
        re.sub(r"\\(x..|u.{4}|U.{8}|[nrt])", lambda escape: escape[0].encode().decode("unicode_escape"), seen) == text
    )


@pytest.mark.parametrize(
    ("text", "seen"),
    [
        ("Zoë 東京 🙂", "Zoë 東京 🙂"),
        ("\x1b[31m", r"\x1b[31m"),
        ("a\nb\tc\r", r"a\nb\tc\r"),
        ("\u202e\u2066", r"\u202e\u2066"),
        ("\x85\x9b", r"\x85\x9b"),
        ("\U000e0041", r"\U000e0041"),
        ("\ud800", r"\ud800"),
    ],
)
def test_escapes_name_the_character(text: str, seen: str) -> None:
    """A character that does not print is shown as the escape that Python writes for it."""
    assert visible(text) == seen


def test_in_a_pipe_a_row_is_a_line(run: Run, script: Script) -> None:
    """In a pipe cells are separated by tabs, without header; an empty cell is `-`; a value never breaks a line."""
    assert run(script(TABLE)).stdout == "p-1\t7\na\\tb\\nc\t-\n-\t12\n"


def test_in_a_pipe_nothing_is_wrapped_or_cut(run: Run, script: Script) -> None:
    """However long a cell and however narrow the terminal that the pipe ends in, a row stays whole."""
    ran = run(script('output.table(["a", "b"], [["x" * 5000, "y" * 5000]])'), env={"COLUMNS": "20"})
    assert ran.stdout == "x" * 5000 + "\t" + "y" * 5000 + "\n"


def test_on_a_terminal_a_table_has_a_header(terminal: Run, script: Script) -> None:
    """On a terminal columns are aligned under their names, counts to the right."""
    seen = terminal(script('output.table(["record", "count"], [["p-1", 7], ["p-23", 12]])'), env={"NO_COLOR": "1"})
    assert [line.rstrip() for line in _plain(seen.stdout).splitlines()] == [
        "record  count",
        "p-1         7",
        "p-23       12",
    ]


@pytest.mark.parametrize("columns", [10, 17, 40])
def test_a_narrow_terminal_loses_nothing(terminal: Run, script: Script, columns: int) -> None:
    """A table that is too wide for the terminal is told cell by cell, each on a line of its own with its column."""
    seen = terminal(script('output.table(["a", "bcd"], [["x" * 90, "y" * 30], ["z", None]])'), columns=columns)
    told = [line.rstrip() for line in _plain(seen.stdout).splitlines()]
    assert told == ["a    " + "x" * 90, "bcd  " + "y" * 30, "", "a    z"]


def test_a_dumb_terminal_gets_plain_text(terminal: Run, script: Script) -> None:
    """Where TERM is `dumb` there is not one escape sequence, no block, no progress bar."""
    body = f'{TABLE}\noutput.lines([bar([1, 1])])\nwith output.progress("reading", 9) as p: p.advance(3)'
    seen = terminal(script(body), env={"TERM": "dumb"})
    assert "record" in seen.stdout
    assert seen.stdout.isascii()
    assert "\x1b" not in seen.stdout
    assert "reading" not in seen.stdout


@pytest.mark.parametrize("is_terminal", [False, True])
def test_values_are_never_interpreted(run: Run, terminal: Run, script: Script, *, is_terminal: bool) -> None:
    """Markup, emoji names and control characters in a value come out as they are written."""
    body = (
        f"hostile = {HOSTILE!r}\n"
        'output.table(["[b]h[/b]"], [[hostile]]); output.lines([hostile]); output.say(hostile); output.warn(hostile)\n'
        "output.error(hostile, hostile)"
    )
    if is_terminal:
        text = _plain(terminal(script(body), columns=400).stdout)
    else:
        ran = run(script(body))
        text = ran.stdout + ran.stderr
    assert all(line.isprintable() for line in text.splitlines())
    assert text.count(r"\x1b]52;c;eA==\x07 \x9b31m \x85 \r\u2028 \u202e\u2066 \u200b\ufeff") == 6
    assert text.count("[red]x[/red] :smile:") == 6


def test_a_document_is_json_in_utf_8(run: Run, script: Script) -> None:
    """In a pipe a document is the value itself, in UTF-8, whatever the locale; a file name that is no text survives."""
    value = {"name": "Zoë \x9b \u202e", "none": None, "list": [1, 2.5, True]}
    for locale in ("C", "C.UTF-8"):
        ran = run(script(f"output.document({value!r})"), env={"LC_ALL": locale})
        assert json.loads(ran.stdout) == value
        assert "Zoë" in ran.stdout
    ran = run(script(r'output.document({"path": "a\udcff"})'))
    assert json.loads(ran.stdout) == {"path": "a\udcff"}


def test_a_document_on_a_terminal_is_the_same_value(terminal: Run, script: Script) -> None:
    """On a terminal the characters that do not print are JSON escapes: the same value, harmless."""
    value = {"name": "Zoë \x9b \u202e \x7f \U000e0041"}
    seen = terminal(script(f"output.document({value!r})"))
    assert json.loads(seen.stdout) == value
    assert all(line.isprintable() for line in seen.stdout.splitlines())


@pytest.mark.parametrize(
    ("options", "stdout", "stderr"),
    [
        ((), "d\nr\n", "s\nwarning: w\n"),
        (("--quiet",), "d\n", "warning: w\n"),
        (("--json",), "1\n2\n", "s\nwarning: w\n"),
        (("--json", "--quiet"), "1\n2\n", "warning: w\n"),
    ],
)
def test_who_is_quiet(run: Run, script: Script, options: tuple[str, ...], stdout: str, stderr: str) -> None:
    """`--quiet` silences words and reports; data, warnings and what `--json` asks for stay."""
    ran = run(script('output.say("s"); output.warn("w"); output.data(1, ["d"]); output.report(2, ["r"])'), *options)
    assert (ran.stdout, ran.stderr) == (stdout, stderr)


def test_no_rows_are_no_lines(run: Run, script: Script) -> None:
    """An empty table prints nothing: `wc -l` says 0."""
    assert run(script('output.table(["a"], []); output.lines([])')).stdout == ""


def test_progress_is_seen_on_a_terminal(terminal: Run, script: Script) -> None:
    """On a terminal a bar shows the description as written, and the bytes done and in all."""
    body = 'with output.progress("[b]log\\x1b", 2000) as p:\n    p.advance(500); p.advance(500)'
    seen = terminal(script(body), columns=120)
    assert "[b]log\\x1b" in seen.stdout
    assert "1.0/2.0 kB" in seen.stdout


@pytest.mark.parametrize("options", [(), ("--quiet",)])
def test_progress_is_nothing_elsewhere(run: Run, script: Script, options: tuple[str, ...]) -> None:
    """In a pipe, or with `--quiet`, no byte of progress is written and nothing that draws is loaded."""
    body = 'with output.progress("log", None) as p: p.update(500)\noutput.table(["a"], [["b"]])'
    ran = run(script(f'{body}\nassert "rich" not in sys.modules'), *options)
    assert (ran.returncode, ran.stderr) == (0, "")


def test_quiet_on_a_terminal_has_no_progress(terminal: Run, script: Script) -> None:
    """`--quiet` hides the bar on a terminal, too."""
    assert terminal(script('with output.progress("log", 9) as p: p.advance(1)'), "--quiet").stdout == ""


@given(st.lists(st.integers(0, 10**9), max_size=4), st.integers(8, 60))
def test_a_bar_shows_every_part(parts: list[int], width: int) -> None:
    """A bar has the width that was asked for; each part has its share of it, and one above zero is always seen."""
    drawn = bar(parts, width=width)
    assert len(drawn) == width
    for part, words in zip(parts, legend(["x"] * len(parts)).split("  "), strict=True) if any(parts) else ():
        share = drawn.count(words[0])
        assert (share > 0) == (part > 0)
        assert abs(share - part * width / sum(parts)) < len(parts)


def test_a_legend_names_the_shades() -> None:
    """The legend shows each part's shade as the bar draws it."""
    drawn = bar([1, 1], width=2)
    assert legend(["in", "out"]) == f"{drawn[0]} in  {drawn[1]} out"


def _plain(text: str) -> str:
    """Return what a person sees: without the sequences that only style."""
    return re.sub(r"\x1b\[[0-9;]*m", "", text)
