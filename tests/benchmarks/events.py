"""The made-up logs: the same kinds of events in two mixes.

Both have, of a hundred events, 30 opened and 20 sent emails, 25 visits to pages, 10 updates of fields (one in twenty of
a deal's), 8 clicks, 4 replies, 2 hard bounces and a deal that is won. What differs is whom and what they are about:

- *first*, a first replay: nearly everything is about people who are enrolled, and most pages are ones that a workflow
  wants. With four events for each prospect half of all enrollments end.
- *steady*, any other night: of a hundred events 4 are about people who are enrolled, 40 about former ones, 46 about
  those who never were, 10 about people unknown to the CRM; nine pages of ten are ones that nobody wants. One event in a
  hundred ends an enrollment.

Events are about in the order of their times, up to ten minutes late; one in fifty is about the same person as the one
before, at the same second, so that there are ties. Every time is of whole seconds in UTC, written alike. A line
has about 190 bytes.
"""

from collections.abc import Callable, Iterator
from datetime import date, timedelta
from functools import partial
from itertools import accumulate
from random import Random
from typing import NamedTuple

from tests.benchmarks.crm import LOG_BEGINS, SITE, Size, deal_key, email_of, workflow_of


class Mix(NamedTuple):
    """Whom and what a log is about, as shares of 1: the people who are none of these are free."""

    enrolled: float
    former: float
    unknown: float
    wanted_pages: float


MIXES = {"first": Mix(0.95, 0.02, 0.01, 0.7), "steady": Mix(0.04, 0.4, 0.1, 0.1)}

KINDS = {
    "email_opened": 30,
    "page_visited": 25,
    "email_sent": 20,
    "field_updated": 10,
    "link_clicked": 8,
    "replied": 4,
    "hard_bounced": 2,
    "deal_won": 1,
}
"""How many of a hundred events are of which type."""

WANTED_PAGES = ("pricing", "demo", "contact", "checkout", "webinars")
OTHER_PAGES = ("blog", "docs", "careers", "changelog", "customers")
PAGES_OF_A_SECTION = 400

PROSPECT_VALUES = {
    "status": ("customer", "lost", "open", "talking"),
    "plan": ("free", "team", "business"),
    "city": ("Porto", "Gdansk", "Lyon"),
    "owner": ("ute", "vera", "walter"),
}
DEAL_VALUES = {"status": ("won", "lost", "open"), "amount": ("500 EUR", "900 EUR")}

DAYS = 30
LATEST_SECONDS = 600
_DAY_SECONDS = 86_400
_FIRST_DAY = date.fromisoformat(LOG_BEGINS)
_DATES = [(_FIRST_DAY + timedelta(days=day)).isoformat() for day in range(DAYS + 1)]
_CLOCK = [f"T{at // 3600:02}:{at // 60 % 60:02}:{at % 60:02}Z" for at in range(_DAY_SECONDS)]

_UNKNOWN_OF_EACH_KNOWN = 0.1
_DEALS_OF_UPDATES = 0.05
_OLD_GIVEN = 0.3
_SAME_PERSON_AND_TIME = 0.02
_CAMPAIGN_LINKS = 0.3


def lines(mix: Mix, size: Size, count: int, seed: str) -> Iterator[str]:
    """Yield a log of `count` events about a CRM, line by line; the same arguments give the same log."""
    rng = Random(seed)
    describe = {kind: partial(_DESCRIBED[kind], rng, mix, size) for kind in KINDS}
    kinds, weights = list(KINDS), list(accumulate(KINDS.values()))
    person, at = 0, ""
    for number in range(count):
        if rng.random() >= _SAME_PERSON_AND_TIME or not number:
            person, at = _person(rng, mix, size), _time(rng, number / count)
        [kind] = rng.choices(kinds, cum_weights=weights)
        yield (f'{{"id": "{rng.getrandbits(128):032x}", "type": "{kind}", "time": "{at}", {describe[kind](person)}}}\n')


def _time(rng: Random, progress: float) -> str:
    second = int(progress * DAYS * _DAY_SECONDS + rng.random() * LATEST_SECONDS)
    return _DATES[second // _DAY_SECONDS] + _CLOCK[second % _DAY_SECONDS]


def _person(rng: Random, mix: Mix, size: Size) -> int:
    enrolled, out, known = size.enrolled, size.known_to_be_out, size.prospects
    lot, place = rng.random(), rng.random()
    if lot < mix.enrolled:
        return int(place * enrolled)
    if lot < mix.enrolled + mix.former:
        return enrolled + int(place * (out - enrolled))
    if lot < mix.enrolled + mix.former + mix.unknown:
        return known + int(place * known * _UNKNOWN_OF_EACH_KNOWN)
    return out + int(place * (known - out))


def _deal(rng: Random, mix: Mix, size: Size) -> str:
    if rng.random() < mix.enrolled:
        return f'"deal": "{deal_key(int(rng.random() * size.enrolled_deals))}"'
    return f'"deal": "{deal_key(size.enrolled_deals + int(rng.random() * (size.deals - size.enrolled_deals)))}"'


def _prospect(person: int) -> str:
    return f'"prospect": "{email_of(person)}"'


def _email(rng: Random, _mix: Mix, _size: Size, person: int) -> str:
    return f'{_prospect(person)}, "workflow": "{workflow_of(person, int(rng.random() * 4))}", "step": "intro"'


def _link_clicked(rng: Random, _mix: Mix, _size: Size, person: int) -> str:
    workflow = workflow_of(person, int(rng.random() * 4))
    return f'{_prospect(person)}, "workflow": "{workflow}", "url": "{SITE}/r/{int(rng.random() * 10_000)}"'


def _page_visited(rng: Random, mix: Mix, _size: Size, person: int) -> str:
    sections = WANTED_PAGES if rng.random() < mix.wanted_pages else OTHER_PAGES
    page = f"{SITE}/{sections[int(rng.random() * len(sections))]}/{int(rng.random() * PAGES_OF_A_SECTION)}"
    came_from = "/?utm_source=newsletter" if rng.random() < _CAMPAIGN_LINKS else ""
    return f'{_prospect(person)}, "url": "{page}{came_from}"'


def _field_updated(rng: Random, mix: Mix, size: Size, person: int) -> str:
    is_deal = rng.random() < _DEALS_OF_UPDATES
    known = DEAL_VALUES if is_deal else PROSPECT_VALUES
    field = list(known)[int(rng.random() * len(known))]
    values = known[field]
    value, old = values[int(rng.random() * len(values))], values[int(rng.random() * len(values))]
    record = _deal(rng, mix, size) if is_deal else _prospect(person)
    told = f', "old": "{old}"' if rng.random() < _OLD_GIVEN else ""
    return f'{record}, "field": "{field}", "value": "{value}"{told}'


def _about_prospect(_rng: Random, _mix: Mix, _size: Size, person: int) -> str:
    return _prospect(person)


def _deal_won(rng: Random, mix: Mix, size: Size, _person: int) -> str:
    return _deal(rng, mix, size)


_DESCRIBED: dict[str, Callable[[Random, Mix, Size, int], str]] = {
    "email_opened": _email,
    "email_sent": _email,
    "link_clicked": _link_clicked,
    "page_visited": _page_visited,
    "field_updated": _field_updated,
    "replied": _about_prospect,
    "hard_bounced": _about_prospect,
    "deal_won": _deal_won,
}
"""What a line says besides its id, type and time."""
