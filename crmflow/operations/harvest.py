"""What the rules in force want of a piece of a log: found without the store, in this process or in any other."""

from datetime import datetime
from functools import lru_cache
from typing import NamedTuple

from crmflow.core import codec
from crmflow.core.triggers import Rules
from crmflow.sources import formats
from crmflow.sources.batches import Batch, pack
from crmflow.sources.logs import Piece
from crmflow.sources.terms import Terms


class Task(NamedTuple):
    """A piece of a log, how it is read, the clock's time, and the definitions in force, each as the store keeps it."""

    piece: Piece
    terms: Terms
    now: datetime
    definitions: tuple[str, ...]


def harvest(task: Task) -> Batch:
    """Return what a piece says; events that nothing in force could want are only counted.

    Suspect are those that would be wanted, were it not likely that a machine caused them.
    """
    rules = rules_of(task.definitions)
    batch = formats.decode(task.piece, task.terms, task.now, rules.interest())
    wanted = [event for event in batch.events if rules.is_wanted(event)]
    batch.suspect = sum(rules.would_be_wanted(event) for event in batch.events if event.is_suspect)
    batch.without_effect += len(batch.events) - len(wanted)
    batch.events = wanted
    return batch


def harvest_packed(task: Task) -> bytes:
    """Return the same as bytes."""
    return pack(harvest(task))


@lru_cache(maxsize=1)
def rules_of(definitions: tuple[str, ...]) -> Rules:
    """Return the rules that definitions make, given as the store keeps them; the last ones are remembered."""
    return Rules(map(codec.decode, definitions))
