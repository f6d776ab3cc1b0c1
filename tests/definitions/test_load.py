"""Workflow files become definitions, or all the complaints about all of them."""

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from crmflow.core.errors import Complaint, DefinitionsError
from crmflow.core.model import Definition, Step, Trigger, Workflow
from crmflow.definitions import load

Complaints = Callable[[str | bytes], list[str]]
Define = Callable[[str | bytes], Definition]
Read = Callable[[str | bytes], Workflow]
Write = Callable[..., str]

WELCOME = """\
workflow: welcome                # [A-Za-z0-9_-]{1,64}
type: prospect
description: Greets new sign-ups
steps:
  - name: intro
    kind: email
    after: 0d
  - name: Second mail
    kind: task
    after: 3d
disenrollment_triggers:
  - trigger: link_clicked
  - trigger: page_visited
    url: https://www.acme.example/pricing*
  - trigger: field_updated
    field: status
    to: [customer, lost]
"""


def test_loads_what_a_file_declares(write: Write) -> None:
    """A definition holds the workflow with the lines of its triggers, the path as given and the file's text."""
    path = write(WELCOME)
    [definition] = load([path])
    assert definition.workflow == Workflow(
        workflow="welcome",
        type="prospect",
        description="Greets new sign-ups",
        steps=(Step("intro", "email", timedelta(0)), Step("Second mail", "task", timedelta(days=3))),
        disenrollment_triggers=(
            Trigger("link_clicked", line=12),
            Trigger("page_visited", url=("https://www.acme.example/pricing*",), line=13),
            Trigger("field_updated", field="status", to=("customer", "lost"), line=15),
        ),
    )
    assert (definition.path, definition.text) == (path, WELCOME)


def test_no_files_declare_nothing() -> None:
    """Without paths there is nothing, and no complaint."""
    assert load([]) == ()


@pytest.mark.parametrize("rest", ["", "steps: []\n", "disenrollment_triggers: []\n", "description: ''\n"])
def test_what_may_be_left_out_may_be_empty(read: Read, rest: str) -> None:
    """Steps, triggers and the description may be left out or hold nothing: it is the same."""
    assert read(f"workflow: w\ntype: deal\n{rest}") == Workflow(workflow="w", type="deal")


def test_one_value_is_a_list_of_one(define: Define) -> None:
    """`url` and `to` take a value that stands alone for a list of it."""
    one = "{trigger: page_visited, url: a/*}, {trigger: field_updated, to: 5}"
    many = "{trigger: page_visited, url: [a/*]}, {trigger: field_updated, to: [5]}"
    file = "{{workflow: w, type: prospect, disenrollment_triggers: [{}]}}"
    assert define(file.format(one)).workflow == define(file.format(many)).workflow


@pytest.mark.parametrize(
    "same",
    [
        "# a comment\n\n" + WELCOME,
        WELCOME.replace("\n", "\r\n"),
        WELCOME.replace("to: [customer, lost]", "to:\n    - 'customer'\n    - \"lost\""),
        WELCOME.replace("after: 3d", "after: 72h"),
        WELCOME.removeprefix("workflow: welcome ") + "workflow: welcome\n",
    ],
)
def test_digest_is_of_the_meaning(define: Define, same: str) -> None:
    """Comments, quotes, order of keys, line ends and spellings of a duration leave the digest alone."""
    assert define(same).digest == define(WELCOME).digest
    assert len(define(same).digest) == 64


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("workflow: welcome", "workflow: welcomes"),
        ("Greets", "Meets"),
        ("3d", "4d"),
        ("kind: task", "kind: wait"),
        ("intro", "intros"),
        ("link_clicked", "replied"),
        ("pricing*", "pricing"),
        ("field: status", "field: state"),
        ("[customer, lost]", "[customer]"),
        ("to: [customer, lost]", "# any"),
        ("lost]", "5]"),
        ("lost]", "'5']"),
    ],
)
def test_digest_changes_with_the_meaning(define: Define, old: str, new: str) -> None:
    """Whatever a file says differently gives another digest."""
    other = WELCOME.replace(old, new)
    assert other != WELCOME
    assert define(other).digest != define(WELCOME).digest


EVERY_FAULT = """\
workflow: wel come
type: deal
descripton: NO
steps:
  - name: 5
    kind: emial
    after: 0
  - name: x
    kind: 1
    after: 3 days
  - name: x
    after: 99999w
  - intro
  - name: ' '
    kind: wait
    after: yes
disenrollment_triggers:
  - trigger: link_click
  - trigger: replied
    url: x
  - trigger: field_updated
    field:
    to:
  - trigger: field_updated
    field: true
    to: []
    urls: x
  - replied
  - url: [a b, '', [], 5]
    to: [{a: b}]
"""
ADDRESS = "an address without spaces, such as https://www.acme.example/pricing*"
SAID = f"""\
1:11: a workflow's name can't be 'wel come' (1 to 64 of A-Z a-z 0-9 _ -)
3:1: a workflow has no key 'descripton' (did you mean description?)
5:11: a step's name can't be the number 5 (put it in quotes: '5')
6:11: unknown kind 'emial' (did you mean email?)
7:12: after can't be the number 0 (write the unit too: 0d)
9:11: the kind can't be the number 1 (one of email, task, wait)
10:12: after can't be '3 days' (write a whole number and a unit: 90s 15m 4h 3d 2w)
11:5: a step needs the key kind (write kind: ...)
11:11: a second name 'x' in steps, first in line 8 (give each its own name)
12:12: after can't be '99999w' (longer than a hundred years: '99999w')
13:5: a step can't be 'intro' (a mapping with the keys name, kind, after)
14:11: a step's name can't be ' ' (words on one line, with single spaces between them)
16:12: after can't be 'yes' (write a whole number and a unit: 90s 15m 4h 3d 2w)
18:14: unknown trigger 'link_click' (did you mean link_clicked?)
19:14: deal workflows have no trigger 'replied' (they have deal_won, deal_lost, field_updated)
20:5: replied takes no key url (only page_visited does)
22:11: field can't be empty (name a field, or leave the key out for any)
23:8: to can't be empty (write a value; for the empty one write [null], for any leave the key out)
25:12: field can't be true (put it in quotes: 'true')
26:9: to can't be an empty list (name at least one)
27:5: a trigger has no key 'urls' (did you mean url?)
28:5: a trigger can't be 'replied' (a mapping with the keys trigger, url, field, to, suspect)
29:5: a trigger needs the key trigger (write trigger: ...)
29:11: a url pattern can't be 'a b' ({ADDRESS})
29:16: a url pattern can't be empty ({ADDRESS})
29:20: a url pattern can't be a list ({ADDRESS})
29:24: a url pattern can't be the number 5 (put it in quotes: '5')
30:10: a value of to can't be a mapping (write a single value)
"""


def test_all_complaints_of_a_file_come_at_once(complaints: Complaints) -> None:
    """Each fault is named with its place, what is wrong and what would be right, in the order of places."""
    assert complaints(EVERY_FAULT) == SAID.splitlines()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (
            "{}",
            [
                "1:1: a workflow needs the key workflow (write workflow: ...)",
                "1:1: a workflow needs the key type (write type: ...)",
            ],
        ),
        (
            "workflow: w\ntype: organization\ndisenrollment_triggers:\n- trigger: page_visited",
            [
                "4:3: page_visited needs the key url (write url: https://www.acme.example/pricing*)",
                "4:12: organization workflows have no trigger 'page_visited' (they have field_updated)",
            ],
        ),
        (
            "workflow: w\ntype: Deal\nsteps:\ndisenrollment_triggers: x",
            [
                "2:7: unknown type 'Deal' (did you mean deal?)",
                "3:7: steps can't be empty (write a list, items after dashes, or leave the key out)",
                "4:25: disenrollment_triggers can't be 'x' (write a list, items after dashes, or leave the key out)",
            ],
        ),
    ],
)
def test_complaints_of_a_workflow(complaints: Complaints, content: str, said: list[str]) -> None:
    """What is missing or of another kind is named too."""
    assert complaints(content) == said


def test_all_complaints_of_all_files_come_at_once(write: Write, tmp_path: Path) -> None:
    """Twenty files with faults are told in one go, in the order given, files that can't be read among them."""
    good = write(WELCOME, "good.yaml")
    typo = write("workflow: w\ntype: lead\n", "typo.yaml")
    tab = write("workflow: x\n\ttype: deal\n", "tab.yaml")
    missing = str(tmp_path / "missing.yaml")
    with pytest.raises(DefinitionsError) as caught:
        load([tab, good, str(tmp_path), missing, typo])
    assert [(each.path, each.line) for each in caught.value.complaints] == [
        (tab, 2),
        (str(tmp_path), 1),
        (missing, 1),
        (typo, 2),
    ]
    assert (
        str(caught.value.complaints[1])
        == f"{tmp_path}:1:1: this is a directory (name the files in it: {tmp_path}/*.yaml)"
    )
    assert str(caught.value.complaints[2]) == f"{missing}:1:1: can't be read: No such file or directory"


def test_two_files_of_one_name_name_both_places(write: Write) -> None:
    """The second file to declare a name is refused with the place of the first, even where it has other faults."""
    first, second = write(WELCOME, "a.yaml"), write("type: lead\nworkflow: welcome\n", "b.yaml")
    with pytest.raises(DefinitionsError) as caught:
        load([first, second])
    assert [str(each) for each in caught.value.complaints] == [
        f"{second}:1:7: unknown type 'lead' (known: prospect, organization, deal)",
        f"{second}:2:11: the workflow 'welcome' is declared in {first}:1:11 already (rename one of the two)",
    ]


def test_a_file_given_twice_counts_once(write: Write, tmp_path: Path) -> None:
    """The same file, under its own name, a roundabout one or a link, is one file with the first path given."""
    path = write(WELCOME)
    link = tmp_path / "link.yaml"
    link.symlink_to(path)
    roundabout = f"{tmp_path}/../{tmp_path.name}/flow.yaml"
    assert [each.path for each in load([path, str(link), roundabout, path])] == [path]


def _complaints(path: str) -> tuple[Complaint, ...]:
    try:
        load([path])
    except DefinitionsError as error:
        return error.complaints
    return ()


_PIECES = [
    *["workflow", "type", "steps", "trigger", "url", "to", ": ", ":", "- ", "-", "\n", "\n  ", "\n    ", " ", "\t"],
    *["[", "]", "{", "}", ",", "&a", "*a", "!t", "!!str ", "<<", "? ", "|", ">", "'", '"', "\\", "#", "%", "@", "`"],
    *["---", "...", "\r", "\r\n", "~", "null", "true", "1", "1e9", "w", "deal", "é", "\u2028", "\ufeff", "\0", "\x1b"],
    *[r'"\ud800"', r'"\U00110000"', "%YAML 1.1\n", "%TAG ! x\n", "9" * 30],
]


@given(content=st.lists(st.sampled_from(_PIECES)).map("".join).map(str.encode) | st.binary())
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=200, deadline=None)
def test_nothing_but_complaints_comes_of_any_bytes(write: Write, content: bytes) -> None:
    """Whatever a file holds, it is a definition or complaints with places in the file; never another error."""
    line_count = content.count(b"\n") + content.count(b"\r") + 1
    complaints = _complaints(write(content))
    assert all(1 <= each.line <= line_count and each.column >= 1 for each in complaints)
