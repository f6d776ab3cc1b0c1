"""How workflows and values are written down as one line of JSON, and read back: what the store keeps of them.

The line is canonical: keys in the order of `crmflow.core.model`, no spaces, durations as ISO 8601.
"""

from typing import Any

import msgspec

from crmflow.core.model import Workflow

_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(Workflow)


def encode(workflow: Workflow) -> str:
    """Return the workflow's canonical JSON, with the lines of its triggers: equal workflows give equal text."""
    return _encoder.encode(workflow).decode()


def decode(text: str) -> Workflow:
    """Return the workflow that `encode` wrote; raises `msgspec.DecodeError` for any other text."""
    return _decoder.decode(text)


def encode_value(value: object) -> str:
    """Return a value, or an object of them, as one line of JSON; equal values give equal text."""
    return _value_encoder.encode(value).decode()


def decode_value(text: str) -> Any:  # noqa: ANN401 - any JSON there is
    """Return the value that `encode_value` wrote; raises `msgspec.DecodeError` for what is no JSON."""
    return _value_decoder.decode(text)


_value_encoder = msgspec.json.Encoder()
_value_decoder = msgspec.json.Decoder()
