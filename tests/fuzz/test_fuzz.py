"""Whatever bytes come from outside: a value or crmflow's own error, in bounded time, and nothing else.

The inputs are those of `corpus/`, where every input stays that a promise once failed for, and mutants of them. A
failure shows its input.
"""

import time
from collections.abc import Callable, Iterable
from itertools import islice
from pathlib import Path
from secrets import token_hex
from tempfile import TemporaryDirectory
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.fuzz import promises
from tests.fuzz.mutation import TOKENS, mutants, read_corpus


class Target(NamedTuple):
    """A promise, the corpus that its inputs are made from, and how many of them an ordinary and a long run take."""

    check: Callable[[bytes, Path], None]
    kind: str
    short: int
    long: int


TARGETS = {
    "events": Target(promises.check_events, "events", 1500, 200_000),
    "both-ways": Target(promises.check_both_ways, "events", 1500, 200_000),
    "logs": Target(promises.check_log, "events", 1500, 150_000),
    "workflows": Target(promises.check_workflow, "workflows", 1500, 100_000),
    "tables": Target(promises.check_table, "tables", 1500, 150_000),
    "times": Target(promises.check_time, "times", 1500, 50_000),
    "addresses": Target(promises.check_address, "addresses", 1500, 100_000),
    "visible": Target(promises.check_visible, "terminal", 1500, 50_000),
}
"""The long runs are 1,000,000 inputs together."""
SHORT_SEED = 20260301
MOST_SECONDS = 5.0
"""Of the processor, so that a busy machine takes little away; most inputs take less than a thousandth of it."""

targets = pytest.mark.parametrize("target", TARGETS.values(), ids=TARGETS)


def check_all(target: Target, inputs: Iterable[bytes], folder: Path) -> None:
    """Hold a promise to inputs; a failure carries its input as a note."""
    for data in inputs:
        start = time.process_time()
        try:
            target.check(data, folder)
            assert time.process_time() - start < MOST_SECONDS
        except BaseException as error:
            error.add_note(f"input: {data!r}")
            raise


@targets
def test_the_promise_holds_for_the_whole_corpus(target: Target, tmp_path: Path) -> None:
    """Every input that is known to be odd, whatever it was meant for, gives a value or an error that says what."""
    for kind in TOKENS:
        check_all(target, read_corpus(kind).values(), tmp_path)


@targets
def test_the_promise_holds_for_mutants(target: Target, tmp_path: Path) -> None:
    """What is near to an odd input gives a value or an error too: the same inputs in every run of the tests."""
    check_all(target, islice(mutants(target.kind, SHORT_SEED), target.short), tmp_path)


@targets
@given(st.data())
def test_the_promise_holds_for_a_soup_of_words(target: Target, data: st.DataObject) -> None:
    """The words of a format in any order, with any bytes between them, give a value or an error."""
    words = st.lists(st.sampled_from(TOKENS[target.kind]) | st.binary(max_size=4)).map(b"".join)
    with TemporaryDirectory() as folder:
        check_all(target, [data.draw(words)], Path(folder))


@targets
@pytest.mark.long
@pytest.mark.timeout(7200)
def test_the_promise_holds_for_very_many_mutants(target: Target, tmp_path: Path) -> None:
    """Other inputs every time, a million over all targets."""
    check_all(target, islice(mutants(target.kind, token_hex()), target.long), tmp_path)
