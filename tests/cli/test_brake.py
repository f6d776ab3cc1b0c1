"""The brake: a run that would end too many enrollments changes nothing, and says what would have ended them."""

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.cli.conftest import Crm

REPLIES = "".join(
    f'{{"id": "e-{number}", "type": "replied", "time": "2026-03-02T10:00:00Z", "prospect": "p-{number}"}}\n'
    for number in (1, 2, 3)
)
"""Three prospects reply: p-1 leaves welcome and nurture, p-2 and p-3 leave welcome. Seven enrollments are active."""

NURTURE = """\
workflow: nurture
type: prospect
max_exits_per_run: {limit}
disenrollment_triggers:
  - trigger: replied
"""


@pytest.mark.parametrize("limit", ["3", "0", "50%", "0%"])
def test_a_run_beyond_the_limit_changes_nothing(crm: "Crm", limit: str) -> None:
    """It ends with 4 and a table of causes and sources; `--approve` lets the same run through."""
    crm.write("replies.jsonl", REPLIES)
    said = crm.refused("ingest", "replies.jsonl", "--max-exits", limit, status=4)
    assert f"error: 4 of 6 enrollments would end, more than {limit}" in said
    assert "        3  welcome: by replied\n" in said
    assert "        4  from replies.jsonl, replied\n" in said
    assert "nothing was changed" in said
    assert crm.json("ingest", "replies.jsonl", "--max-exits", limit, "--approve")["exits"] == 4


@pytest.mark.parametrize("limit", ["4", "67%", "100%"])
def test_a_run_within_the_limit_is_kept(crm: "Crm", limit: str) -> None:
    """It ends as it would without a limit, and the log counts as read."""
    crm.write("replies.jsonl", REPLIES)
    assert crm.json("ingest", "replies.jsonl", "--max-exits", limit)["exits"] == 4
    assert crm.json("ingest", "replies.jsonl", "--max-exits", limit)["run"] is None


def test_a_workflow_may_have_a_limit_of_its_own(crm: "Crm") -> None:
    """`max_exits_per_run` holds for every run that ends enrollments in it, by logs or by hand."""
    crm("workflow", "apply", crm.write("nurture.yaml", NURTURE.format(limit="0%")))
    crm.write("replies.jsonl", REPLIES)
    said = crm.refused("ingest", "replies.jsonl", status=4)
    assert "1 of 1 enrollments would leave nurture, which may lose 0% in a run" in said
    said = crm.refused("bulk-disenroll", "--workflow", "nurture", crm.write("one.csv", "key\np-1\n"), status=4)
    assert "        1  nurture: by manual" in said
    crm("workflow", "apply", crm.write("nurture.yaml", NURTURE.format(limit="1")))
    assert crm.json("ingest", "replies.jsonl")["exits"] == 4


def test_an_exit_that_moves_does_not_count(crm: "Crm") -> None:
    """Only enrollments that were active are counted: a late event that moves an exit ends none."""
    crm.write("replies.jsonl", REPLIES)
    crm("ingest", "replies.jsonl")
    crm.write("late.jsonl", REPLIES.replace("T10", "T09").replace("e-", "f-"))
    assert crm.json("ingest", "late.jsonl", "--max-exits", "0")["moved"] == 4


def test_a_dry_run_shows_what_approval_would_let_through(crm: "Crm") -> None:
    """With `--dry-run` the brake stops too; with `--approve` as well it shows the whole run."""
    crm.write("replies.jsonl", REPLIES)
    crm.refused("ingest", "replies.jsonl", "--max-exits", "0", "--dry-run", status=4)
    assert crm.json("ingest", "replies.jsonl", "--max-exits", "0", "--dry-run", "--approve")["exits"] == 4
    assert crm.json("ingest", "replies.jsonl")["exits"] == 4


def test_what_is_no_limit_is_wrong_usage(crm: "Crm") -> None:
    """The error names the option and what to write."""
    said = crm.refused("ingest", "nowhere.jsonl", "--max-exits", "many", status=2)
    assert "--max-exits: not a limit: 'many'" in said
