"""How a workflow is written down as one line of JSON, and read back: what the store keeps and what a digest is made of.

The line is canonical: keys in the order of `crmflow.core.model`, no spaces, durations as ISO 8601.
"""

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
