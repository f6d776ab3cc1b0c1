"""Fields follow the latest change, whatever order changes come in."""

from datetime import UTC, datetime, timedelta
from itertools import count, pairwise
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory

from hypothesis import given, settings
from hypothesis import strategies as st

from crmflow.core.model import FieldChange, Moment
from crmflow.store import fields, records, runs
from crmflow.store.connection import Store, create_store
from crmflow.store.records import NewRecord

NOW = datetime(2026, 3, 1, 8, tzinfo=UTC)


def _prospect(store: Store, moment: Moment) -> int:
    with store.change():
        run = runs.begin(store, "test", moment)
        records.add(store, run, [NewRecord("prospect", "p-1", "Ana@acme.example", {"status": "lead"})], moment)
    return records.find(store, "prospect", ["p-1"])["p-1"]


def _save(store: Store, moment: Moment, *changes: FieldChange) -> None:
    with store.change():
        fields.save(store, runs.begin(store, "test", moment), changes)


def test_a_first_value_has_no_time(store: Store, moment: Moment) -> None:
    """Any dated change replaces the value that a record was added with, however old the change is."""
    number = _prospect(store, moment)
    _save(store, moment, FieldChange(number, "status", NOW - timedelta(days=9999), "customer"))
    assert records.load(store, [number])[number].fields == {"status": "customer"}


def test_an_older_change_comes_too_late(store: Store, moment: Moment) -> None:
    """A change that happened before the one that stands changes nothing."""
    number = _prospect(store, moment)
    _save(store, moment, FieldChange(number, "status", NOW, "customer"))
    _save(store, moment, FieldChange(number, "status", NOW - timedelta(days=1), "trial"))
    assert records.load(store, [number])[number].fields == {"status": "customer"}


def test_a_prospect_is_found_by_every_email_that_it_had(store: Store, moment: Moment) -> None:
    """The present email, without case, a former one, and one that was never the latest all lead to the prospect."""
    number = _prospect(store, moment)
    _save(store, moment, FieldChange(number, "email", NOW, "ana@new.example"))
    _save(store, moment, FieldChange(number, "email", NOW - timedelta(days=1), "ana@between.example"))
    names = ["ANA@new.example", "ana@acme.example", "ana@between.example", "nobody@acme.example"]
    assert records.find(store, "prospect", names) == dict.fromkeys(names[:3], number)
    assert records.load(store, [number])[number].email == "ana@new.example"


_numbers = count()
_changes = st.lists(
    st.builds(
        FieldChange,
        record_id=st.just(1),
        field=st.sampled_from(["status", "score"]),
        at=st.integers(0, 3).map(lambda days: NOW + timedelta(days=days)),
        value=st.sampled_from(["lead", "customer", 1, None, True]),
        event_id=st.sampled_from(["", "e-1", "e-2"]),
    ),
    max_size=8,
)


@settings(max_examples=40, deadline=None)
@given(changes=_changes, cuts=st.lists(st.integers(0, 8), max_size=3), seed=st.randoms(use_true_random=False))
def test_the_order_of_changes_does_not_matter(changes: list[FieldChange], cuts: list[int], seed: Random) -> None:
    """Shuffled, repeated and split into several runs, changes leave the same values."""
    shuffled = [*changes, *changes[:2]]
    seed.shuffle(shuffled)
    moment = Moment(NOW, NOW)
    results = []
    with TemporaryDirectory() as directory:
        for parts in ([changes], _split(shuffled, cuts)):
            with create_store(Path(directory) / f"{next(_numbers)}.db") as store:
                number = _prospect(store, moment)
                for part in parts:
                    _save(store, moment, *part)
                results.append(records.load(store, [number])[number].fields)
    assert results[0] == results[1]


def _split(changes: list[FieldChange], cuts: list[int]) -> list[list[FieldChange]]:
    edges = [0, *sorted(cuts), len(changes)]
    return [changes[start:end] for start, end in pairwise(edges)]
