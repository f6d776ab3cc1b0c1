"""YAML files become plain data, or complaints with places; nothing changes its meaning on the way."""

from collections.abc import Callable
from time import process_time

import pytest

from crmflow.core.model import Scalar, Workflow

Complaints = Callable[[str | bytes], list[str]]
Read = Callable[[str | bytes], Workflow]

HEAD = "workflow: w\ntype: prospect\n"


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        *[(text, text) for text in ("NO", "no", "yes", "Yes", "on", "off", "y", "True", "FALSE", "Null")],
        *[(text, text) for text in ("12:30", "1:2:3", "0123", "0x1F", "0o17", "0b1", "1_000", "+1", ".5", "1.")],
        *[(text, text) for text in (".inf", "-.inf", ".nan", "NaN", "Infinity", "=", "2026-03-01", "2024-13-45")],
        ("true", True),
        ("false", False),
        ("null", None),
        ("~", None),
        ("", None),
        ("500", 500),
        ("-0", 0),
        ("-17", -17),
        ("9223372036854775807", 2**63 - 1),
        ("1.50", 1.5),
        ("1e3", 1000.0),
        ("-2.5E-1", -0.25),
        ("'500'", "500"),
        ('"true"', "true"),
        ("''", ""),
        ("a b", "a b"),
    ],
)
def test_plain_scalars_are_read_as_json_reads_them(read: Read, written: str, meant: Scalar) -> None:
    """Only JSON's numbers, true, false and null (also ~ and nothing) convert; all else is text as it stands."""
    workflow = read(f"{HEAD}disenrollment_triggers:\n- trigger: field_updated\n  to:\n  - {written}\n")
    assert workflow.disenrollment_triggers[0].to == (meant,)
    [value] = workflow.disenrollment_triggers[0].to
    assert type(value) is type(meant)


def test_keys_are_always_text(complaints: Complaints) -> None:
    """A key that YAML 1.1 would turn into a boolean or a number is named as it was written."""
    assert complaints(f"{HEAD}on: a\n1: b\n12:30: c\n") == [
        "3:1: a workflow has no key 'on' (" + KNOWN,
        "4:1: a workflow has no key '1' (" + KNOWN,
        "5:1: a workflow has no key '12:30' (" + KNOWN,
    ]


@pytest.mark.parametrize(
    "content",
    [
        HEAD.encode(),
        b"\xef\xbb\xbf" + HEAD.encode(),
        HEAD.replace("\n", "\r\n").encode(),
        HEAD.replace("\n", "\r").encode(),
        f"---\n{HEAD}...\n".encode(),
        f"%YAML 1.2\n---\n{HEAD}".encode(),
        b'{"workflow": "w", "type": "prospect"}',
        f"# a comment\n\n{HEAD}# another\n".encode(),
    ],
)
def test_a_file_may_come_from_any_editor(read: Read, content: bytes) -> None:
    """A byte order mark, any line ends, document markers, comments and JSON make no difference."""
    assert read(content) == Workflow(workflow="w", type="prospect")


EMPTY = "1:1: no workflow in this file (begin with workflow: NAME and type: TYPE)"
WIDE = "1:1: UTF-16 or UTF-32, not UTF-8 (convert it: iconv -f UTF-16 -t UTF-8)"
KNOWN = "known: workflow, type, description, steps, disenrollment_triggers, max_exits_per_run)"
KEYS = "a mapping with the keys workflow, type, description, steps, disenrollment_triggers, max_exits_per_run"


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", EMPTY),
        (b"# nothing\n\n", EMPTY),
        (b"---\n", EMPTY),
        (b"~", EMPTY),
        (b"welcome", f"1:1: a workflow can't be 'welcome' ({KEYS})"),
        (b"42", f"1:1: a workflow can't be the number 42 ({KEYS})"),
        (b"- workflow: w", f"1:1: a workflow can't be a list ({KEYS})"),
        (HEAD.encode("utf-16"), WIDE),
        (HEAD.encode("utf-16-le"), WIDE),
        (HEAD.encode("utf-16-be"), WIDE),
        (HEAD.encode("utf-32"), WIDE),
        ("workflow: w\n\ntype: é".encode("latin-1"), "3:7: byte 0xe9 is not UTF-8 (save the file as UTF-8)"),
        (b"x" * (1 << 20) + b"x", "1:1: larger than 1,048,576 bytes (one file declares one workflow)"),
        (HEAD + "---\n" + HEAD, "3:1: a second document begins here (one file declares one workflow)"),
    ],
)
def test_a_file_that_is_no_workflow_says_what_it_is(complaints: Complaints, content: bytes, said: str) -> None:
    """Whatever a file holds instead of one workflow is named, each in its own words."""
    assert complaints(content) == [said]


@pytest.mark.parametrize("character", ["\0", "\x1b", "\x07", "\x7f", "\x85", "\x9b", "\u2028", "\u2029", "\ufffe"])
def test_control_characters_are_refused_where_they_stand(complaints: Complaints, character: str) -> None:
    """A raw control character or a line separator that editors do not count is named with its place."""
    hint = "remove it, or write its escape in double quotes"
    assert complaints(f"workflow: w\r\ntype: d{character}") == [f"2:8: control character {character!r} ({hint})"]


@pytest.mark.parametrize(
    ("content", "place", "part"),
    [
        ("workflow: w\nsteps:\n\t- a", "3:1", "that is a tab: YAML takes only spaces there"),
        ("workflow:\tw", "1:10", "that is a tab"),
        ("workflow: a: b", "1:12", "put a text that contains ': ' in quotes"),
        ("workflow: w\n type: deal", "2:6", "check the indentation"),
        ("steps:\n  - name: a\n   kind: b", "3:4", "the indentation does not fit the lines above"),
        ("workflow: w\ntype\n", "3:1", "write KEY: VALUE"),
        ("workflow: {a", "1:13", "a bracket is not closed"),
        ('workflow: w\ntype: "deal\nsteps:\n', "4:1", "that begins in line 2 (a quote is not closed)"),
        ("workflow: @w", "1:11", "put the text in quotes"),
        ("url: *.acme.example/x", "1:7", "put a text that begins with * or & in quotes"),
        (r'workflow: "\w"', "1:13", r"write \\ for a backslash"),
        (r'workflow: "\UFFFFFFFF"', "1:14", "out of range"),
        (f"%YAML {'9' * 5000}.1\n---\na: b", "1:7", "out of range"),
        ("workflow: !x!y w", "1:11", "tags are not supported"),
    ],
)
def test_broken_yaml_is_located_and_explained(complaints: Complaints, content: str, place: str, part: str) -> None:
    """Where YAML itself is broken the complaint has the place and says what to do."""
    [said] = complaints(content)
    assert said.startswith(f"{place}: ")
    assert part in said


def test_duplicate_keys_name_both_lines(complaints: Complaints) -> None:
    """A key given twice is refused in every mapping, with the line of the first."""
    steps = "steps:\n- name: a\n  kind: task\n  kind: wait\n  after: 0d\n"
    assert complaints(f"{HEAD}{steps}type: deal\n") == [
        "6:3: duplicate key 'kind', first in line 5 (keep one)",
        "8:1: duplicate key 'type', first in line 2 (keep one)",
    ]


@pytest.mark.parametrize("tag", ["!!str", "!!python/object:os.system", "!foo", "!", "!<tag:a,b>"])
@pytest.mark.parametrize("value", ["w", "[w]", "{w: w}", ""])
def test_every_tag_is_refused(complaints: Complaints, tag: str, value: str) -> None:
    """A tag is refused whatever it stands before, the harmless ones too."""
    assert any(
        said.startswith("2:14: tags are not supported")
        for said in complaints(f"type: deal\ndescription: {tag} {value}")
    )


def test_anchors_aliases_and_merge_keys_are_refused_at_once(complaints: Complaints) -> None:
    """Each clever device of YAML is a complaint of its own, and hides no other."""
    assert complaints("workflow: &a w\ntype: dead\ndescription: *a\n<<: {x: y}\n? [a]\n: b\n") == [
        "1:11: anchors are not supported: '&a' (leave it out; a text that begins with & needs quotes)",
        "2:7: unknown type 'dead' (did you mean deal?)",
        "3:14: aliases are not supported: '*a' (write the value out; a text that begins with * needs quotes)",
        "4:1: merge keys are not supported (write the keys out)",
        "5:3: a list or mapping can't be a key (write KEY: VALUE)",
    ]


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("9" * 5000, f"a number out of range: '{'9' * 59}…' (put it in quotes to make it text)"),
        ("9223372036854775808", "a number out of range: '9223372036854775808' (put it in quotes to make it text)"),
        ("1e999", "a number out of range: '1e999' (put it in quotes to make it text)"),
        (r'"\0"', r"a text can't hold '\x00' (leave it out)"),
        (r'"\ud800"', r"a text can't hold '\ud800' (leave it out)"),
    ],
)
def test_what_no_store_could_hold_is_refused(complaints: Complaints, value: str, said: str) -> None:
    """Numbers beyond 64 bits, NUL and lone surrogates are complaints, in quotes the digits are text."""
    assert complaints(f"{HEAD}description: {value}") == [f"3:14: {said}"]


LAUGHS = "a: &a [x]\n" + "".join(
    f"{new}: &{new} [{f'*{old},' * 9}]\n" for old, new in zip("abcdefg", "bcdefgh", strict=True)
)
MERGES = "a: &a {x: y}\n" + "".join(
    f"{new}: &{new} {{<<: [*{old}, *{old}]}}\n" for old, new in zip("abcdefghijklmnop", "bcdefghijklmnopq", strict=True)
)


@pytest.mark.parametrize(
    "bomb",
    [
        LAUGHS,
        MERGES,
        *[opening * 100_000 for opening in ("[", "{", "- ", "? ", "[{", "{a: [", "[? ", "{? ", "-\n", "!a [", "&a [")],
        "".join(f"{' ' * depth}a:\n" for depth in range(1_000)),
        "".join(f"{' ' * depth}- a:\n" for depth in range(1_000)),
    ],
    ids=lambda bomb: bomb[:8],
)
def test_bombs_end_quickly(complaints: Complaints, bomb: str) -> None:
    """A file made to explode or to nest without end is refused in bounded time of the processor."""
    begin = process_time()
    assert complaints(bomb)
    assert process_time() - begin < 5
