"""What makes two tellings of an event the same event."""

from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from crmflow.core.identity import identity, identity_of_id
from crmflow.core.model import Event

VISIT = Event(
    type="page_visited",
    at=datetime(2026, 3, 1, tzinfo=UTC),
    record_type="prospect",
    name="p-1",
    line=3,
    url="https://acme.example/",
)


def test_an_id_is_the_identity() -> None:
    """Two tellings with one id are one event, whatever else they say."""
    one = msgspec.structs.replace(VISIT, id="e-1")
    other = msgspec.structs.replace(one, line=9, at=VISIT.at + timedelta(days=1))
    assert identity(one) == identity(other) == identity_of_id("e-1")


def test_without_an_id_all_that_is_said_is_the_identity() -> None:
    """Where it stands makes no difference; what it says does."""
    assert identity(msgspec.structs.replace(VISIT, line=9)) == identity(VISIT)


@pytest.mark.parametrize(
    "change", [{"name": "p-2"}, {"url": "https://acme.example/a"}, {"at": VISIT.at + timedelta(microseconds=1)}]
)
def test_events_without_an_id_that_say_something_else_are_others(change: dict[str, object]) -> None:
    """Another record, page or moment is another event; none of them is that of an id."""
    assert identity(msgspec.structs.replace(VISIT, **change)) != identity(VISIT)
    assert identity(VISIT) != identity_of_id("")
