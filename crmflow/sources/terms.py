"""How a log is read: what the user says about it, what its beginning shows, and what a format has to offer for it."""

from collections.abc import Sequence
from datetime import datetime, timedelta, timezone, tzinfo
from functools import lru_cache
from re import fullmatch
from typing import NamedTuple, Protocol

import msgspec

from crmflow.core.errors import UsageError
from crmflow.core.model import Reject
from crmflow.core.triggers import Interest
from crmflow.sources.batches import Batch, Outcome
from crmflow.sources.logs import Layout, Piece
from crmflow.sources.objects import Body

OURS = "crmflow"
"""The format of our own events: what a log is taken for that no other format recognises."""

MAIL = "eml"
"""The format of a file that is a mail, as those of a Maildir are."""

WORKFLOW_KEY = "workflow"
PROSPECT_PARAM = "p"


class Options(msgspec.Struct, frozen=True):
    """What the user says about logs.

    `format` names their format (None: look at each of them), `assume_tz` the zone of times that name none (None: there
    must be none of them), `workflow_key` the name under which mail providers give our workflow back. In `won_stages` a
    deal of a CRM is won, in `lost_stages` lost, besides those that every CRM of the kind has. The query of a request
    names the prospect under `prospect_param`.
    """

    format: str | None = None
    assume_tz: str | None = None
    workflow_key: str = WORKFLOW_KEY
    won_stages: tuple[str, ...] = ()
    lost_stages: tuple[str, ...] = ()
    prospect_param: str = PROSPECT_PARAM


class Terms(msgspec.Struct, frozen=True, omit_defaults=True):
    """How one log is read: its format and layout, the lines that it opens with as a header, and what the user said."""

    format: str = OURS
    layout: Layout = "lines"
    header: str = ""
    assume_tz: str | None = None
    workflow_key: str = WORKFLOW_KEY
    won_stages: tuple[str, ...] = ()
    lost_stages: tuple[str, ...] = ()
    prospect_param: str = PROSPECT_PARAM

    @property
    def zone(self) -> tzinfo | None:
        """Return the zone of times that name none; raises `UsageError` where there is no such zone."""
        return None if self.assume_tz is None else zone_named(self.assume_tz)


class Head(NamedTuple):
    """The beginning of a log, up to 64 KiB without white space before it, and what it shows.

    `value` is the first JSON value (None: there is none), `body` the first object in it that is no envelope.
    """

    data: bytes
    layout: Layout
    value: object
    body: Body | None


class Source(Protocol):
    """What a format offers: knowing its logs, and understanding them."""

    def recognises(self, head: Head) -> bool:
        """Tell whether a log that begins like this is of the format."""

    def decode(self, piece: Piece, terms: Terms, now: datetime, interest: Interest) -> Batch:
        """Return what a piece says; an event more than a day after `now` is a reject.

        What is of no `interest` may be passed over, counted as without effect.
        """

    def decode_again(self, kept: Reject, terms: Terms, now: datetime) -> Sequence[Outcome]:
        """Return what the text of a reject says now."""


@lru_cache
def zone_named(name: str) -> tzinfo:
    """Return the time zone of a name (`Europe/Berlin`) or offset (`+02:00`); raises `UsageError`."""
    if offset := fullmatch(r"([+-])([01]\d|2[0-3]):([0-5]\d)", name):
        sign, hours, minutes = offset.groups()
        return timezone(int(f"{sign}1") * timedelta(hours=int(hours), minutes=int(minutes)))
    from zoneinfo import ZoneInfo  # few logs need it

    try:
        return ZoneInfo(name)
    except (KeyError, OSError, ValueError) as error:
        raise UsageError(f"no such time zone: {name!r}", hint="write it like Europe/Berlin, UTC or +02:00") from error


def pack_terms(terms: Terms) -> str:
    """Return terms as one line of JSON, for the store to keep."""
    return msgspec.json.encode(terms).decode()


def unpack_terms(text: str) -> Terms:
    """Return the terms that `pack_terms` wrote; raises `ValueError` for any other text."""
    return _decoder.decode(text)


_decoder = msgspec.json.Decoder(Terms)
