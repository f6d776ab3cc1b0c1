"""What a piece of a log says: the batch, the unit that flows from sources to the store."""

from collections.abc import Iterable, Sequence

import msgspec

from crmflow.core.model import Event, Ref, Reject


class Passed(msgspec.Struct, frozen=True):
    """What is understood and changes nothing: its type is unknown, or known to be without effect.

    It `is_ambiguous` where it would count, did it say whom of several it is about.
    """

    type: str
    is_known: bool
    is_ambiguous: bool = False


NOTHING = Passed("nothing", is_known=True)
"""What says that nothing happened: a ping, a confirmation, an empty list."""

Outcome = Event | Passed | Reject | None
"""What a line is; None for a blank one, which is no line."""


class Batch(msgspec.Struct):
    """What the lines of a piece say: each of the `lines` is an event, a reject, of unknown type or without effect.

    A line that tells several events counts once for each of them. `ambiguous` ones and `suspect` ones are among the
    others. `end_offset` is where to go on reading, `end_line` the number of the line that lies there. `incomplete` is 1
    where the log ends in an unfinished line that is no event yet: it is not counted, and left before `end_offset`.
    """

    end_offset: int
    end_line: int
    lines: int = 0
    events: list[Event] = []
    rejects: list[Reject] = []
    unknown_types: dict[str, int] = {}
    without_effect: int = 0
    incomplete: int = 0
    ambiguous: int = 0
    suspect: int = 0

    def take_all(self, outcomes: Iterable[Outcome]) -> None:
        """Count all that a line tells."""
        for each in outcomes:
            self.take(each)

    def take(self, outcome: Outcome) -> None:
        """Count a line as what it is."""
        match outcome:
            case None:
                return
            case Event():
                self.events.append(outcome)
            case Reject():
                self.rejects.append(outcome)
            case Passed(is_known=True):
                self.without_effect += 1
                self.ambiguous += outcome.is_ambiguous
            case Passed(type=word):
                self.unknown_types[word] = self.unknown_types.get(word, 0) + 1
        self.lines += 1


def joined(batches: Sequence[Batch]) -> Batch:
    """Return what pieces that follow one another say, as one batch; raises `ValueError` where there are none."""
    *_, last = batches
    whole = Batch(last.end_offset, last.end_line, incomplete=last.incomplete)
    for each in batches:
        whole.lines += each.lines
        whole.events += each.events
        whole.rejects += each.rejects
        whole.without_effect += each.without_effect
        whole.ambiguous += each.ambiguous
        whole.suspect += each.suspect
        for word, count in each.unknown_types.items():
            whole.unknown_types[word] = whole.unknown_types.get(word, 0) + count
    return whole


pack = msgspec.msgpack.Encoder().encode
"""Return a batch, or references, as bytes, which cost a tenth of what objects cost to hand to another process."""

unpack = msgspec.msgpack.Decoder(Batch).decode
"""Return the batch that `pack` wrote."""

unpack_refs = msgspec.msgpack.Decoder(set[Ref]).decode
"""Return the references to records that `pack` wrote."""
