"""The made-up CRM of the measurements: who is in it, who is in which workflow, and what ends an enrollment.

Prospects are numbered. Of a hundred the first 49 are *enrolled*, each in four of the eighteen workflows for prospects;
the next 25 are *former*: they were in one and were taken out by hand long ago; the rest are *free*. Numbers beyond the
last one are people of whom the CRM does not know. The first half of the deals is in both workflows for deals. So there
are twice as many active enrollments as prospects.

The workflows are six campaigns, each held in three seasons. A campaign wants its own pages; nobody wants the blog.
"""

import csv
import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from crmflow.core.triggers import RANK

SITE = "https://www.acme.example"

Declared = dict[str, str | list[str]]
"""A trigger as a workflow file declares it."""

CAMPAIGNS: dict[str, list[Declared]] = {
    "welcome": [
        {"trigger": "link_clicked"},
        {"trigger": "replied"},
        {"trigger": "page_visited", "url": f"{SITE}/pricing*"},
    ],
    "nurture": [
        {"trigger": "replied"},
        {"trigger": "page_visited", "url": [f"{SITE}/demo*", f"{SITE}/contact*"]},
        {"trigger": "hard_bounced"},
    ],
    "winback": [
        {"trigger": "link_clicked"},
        {"trigger": "hard_bounced"},
        {"trigger": "field_updated", "field": "status", "to": ["customer", "lost"]},
    ],
    "trial": [
        {"trigger": "replied"},
        {"trigger": "page_visited", "url": f"{SITE}/checkout*"},
        {"trigger": "field_updated", "field": "plan"},
    ],
    "webinar": [
        {"trigger": "link_clicked"},
        {"trigger": "page_visited", "url": f"{SITE}/webinars/*"},
        {"trigger": "hard_bounced"},
    ],
    "renewal": [
        {"trigger": "replied"},
        {"trigger": "conversation_started"},
        {"trigger": "hard_bounced"},
        {"trigger": "field_updated", "field": "status", "to": ["customer", "lost"]},
    ],
}
SEASONS = ("spring", "summer", "autumn")
PROSPECT_WORKFLOWS = [f"{campaign}-{season}" for season in SEASONS for campaign in CAMPAIGNS]
DEAL_WORKFLOWS: dict[str, list[Declared]] = {
    "closing": [{"trigger": "deal_won"}, {"trigger": "deal_lost"}],
    "forecast": [{"trigger": "field_updated", "field": "status", "to": ["won", "lost"]}],
}
FORMER_WORKFLOW = PROSPECT_WORKFLOWS[0]

LOG_BEGINS = "2026-01-01"
ENROLLED_AT = {
    **dict.fromkeys(DEAL_WORKFLOWS, "2025-12-20T00:00:00Z"),
    **{
        workflow: f"{'2026-01-02' if workflow.endswith('autumn') else '2025-12-20'}T00:00:00Z"
        for workflow in PROSPECT_WORKFLOWS
    },
}
"""When all of a workflow's enrollments began; those of autumn while the logs are already under way."""

AS_IMPORTED = "as imported"
"""What every field that events update has at first: no event gives it this value."""

FORMER_FROM, FORMER_TO = "2025-11-01T00:00:00Z", "2025-12-01T00:00:00Z"

_PLACES_APART = (0, 5, 9, 13)
_FIRST_NAMES = ("ana", "bela", "carlos", "dorothea", "emil", "fatima", "giulia", "henrik", "ines", "jakub", "katarina")
_LAST_NAMES = ("almeida", "brandt", "castellano", "dupont", "eriksen", "fernandes", "grigoriou", "hoffmann", "ivanova")


class Size(NamedTuple):
    """How large a CRM is."""

    prospects: int
    deals: int

    @property
    def enrolled(self) -> int:
        """Return how many prospects are in workflows: the first ones."""
        return self.prospects * 49 // 100

    @property
    def known_to_be_out(self) -> int:
        """Return the number of the first prospect that is free: before it are the enrolled and the former ones."""
        return self.enrolled + self.prospects * 25 // 100

    @property
    def enrolled_deals(self) -> int:
        """Return how many deals are in workflows: the first ones."""
        return self.deals // 2


def email_of(prospect: int) -> str:
    """Return the email of the prospect of a number, which is its key too."""
    first = _FIRST_NAMES[prospect % len(_FIRST_NAMES)]
    last = _LAST_NAMES[prospect % len(_LAST_NAMES)]
    return f"{first}.{last}.{prospect:06}@c{prospect % 997:03}.example"


def deal_key(deal: int) -> str:
    """Return the key of the deal of a number."""
    return f"D-{deal:06}"


def workflow_of(prospect: int, place: int) -> str:
    """Return the workflow that a prospect is in, if it is in any; `place` is 0 to 3."""
    return PROSPECT_WORKFLOWS[(prospect + _PLACES_APART[place]) % len(PROSPECT_WORKFLOWS)]


def write(folder: Path, size: Size) -> None:
    """Write the CRM's files into an empty folder.

    `workflows/*.yaml`, `prospects.csv`, `deals.csv`, `enroll/*.csv` (one for each workflow) and `former.csv` are for
    crmflow. The others have the same for those it is compared with: `enrollments.csv` (active or former) and
    `triggers.csv` (a row for each address and each value).
    """
    (folder / "workflows").mkdir()
    (folder / "enroll").mkdir()
    members = _members(size)
    for name, kind, triggers in declared():
        definition = json.dumps({"workflow": name, "type": kind, "disenrollment_triggers": triggers})
        (folder / "workflows" / f"{name}.yaml").write_text(definition)
        _write_csv(folder / "enroll" / f"{name}.csv", ["key"], ([key] for key in members[name]))
    former = [email_of(number) for number in range(size.enrolled, size.known_to_be_out)]
    _write_csv(folder / "former.csv", ["key"], ([key] for key in former))
    _write_records(folder, size)
    _write_csv(
        folder / "enrollments.csv",
        ["workflow", "record", "enrolled_at", "exited_at"],
        [
            *([name, key, ENROLLED_AT[name], ""] for name, keys in members.items() for key in keys),
            *([FORMER_WORKFLOW, key, FORMER_FROM, FORMER_TO] for key in former),
        ],
    )
    _write_csv(folder / "triggers.csv", ["workflow", "type", "trigger", "rank", "url", "field", "value"], _triggers())


def declared() -> Iterator[tuple[str, str, list[Declared]]]:
    """Yield every workflow: its name, its type and its triggers."""
    for name in PROSPECT_WORKFLOWS:
        yield name, "prospect", CAMPAIGNS[name.partition("-")[0]]
    for name, triggers in DEAL_WORKFLOWS.items():
        yield name, "deal", triggers


def _members(size: Size) -> dict[str, list[str]]:
    deals = [deal_key(number) for number in range(size.enrolled_deals)]
    members: dict[str, list[str]] = {
        **{name: [] for name in PROSPECT_WORKFLOWS},
        **dict.fromkeys(DEAL_WORKFLOWS, deals),
    }
    for number in range(size.enrolled):
        key = email_of(number)
        for place in range(len(_PLACES_APART)):
            members[workflow_of(number, place)].append(key)
    return members


def _write_records(folder: Path, size: Size) -> None:
    _write_csv(
        folder / "prospects.csv",
        ["email", "company", "phone", "status", "plan", "city", "owner"],
        (
            [email_of(number), f"Customer {number % 997}", f"+351 2{number:07}", *[AS_IMPORTED] * 4]
            for number in range(size.prospects)
        ),
    )
    deals = ([deal_key(number), f"{number % 90 + 10} seats", *[AS_IMPORTED] * 2] for number in range(size.deals))
    _write_csv(folder / "deals.csv", ["key", "title", "status", "amount"], deals)


def _triggers() -> Iterator[list[str]]:
    for name, kind, triggers in declared():
        for trigger in triggers:
            word = str(trigger["trigger"])
            for url in _listed(trigger.get("url", "")):
                for value in _listed(trigger.get("to", "")):
                    yield [name, kind, word, str(RANK[word]), url, str(trigger.get("field", "")), value]


def _listed(value: str | list[str]) -> list[str]:
    return value if isinstance(value, list) else [value]


def _write_csv(path: Path, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows(rows)
