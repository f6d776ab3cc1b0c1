"""One reading of a log from its start, unpacked on the way, and the fingerprint of what it begins with.

The fingerprint of a prefix must be the same for a log and its compressed copy, cost far less than reading a plain log,
and grow with the prefix, since a run asks for it after every piece. So a log is divided into blocks of one MiB at fixed
places, and of these are hashed: the first sixteen; then the beginning of every eighth; and the end of the prefix, from
the start of the last whole block on.
"""

import hashlib
import io

from crmflow.sources.archives import Unpacked, packing_of
from crmflow.sources.inputs import BUFFER_SIZE, Source

MIB = 1024 * 1024
_FULLY_HASHED_BLOCKS = 16
_SAMPLED_EVERY = 8
_SAMPLE_SIZE = 64 * 1024


class Reading:
    """The unpacked bytes of a log, once from the start to the end; `reader` is where they come from."""

    def __init__(self, source: Source) -> None:
        """Look at the first bytes of a log as stored to see what it is packed with."""
        stored: io.BufferedReader = io.BufferedReader(source, BUFFER_SIZE)
        packing = packing_of(stored.peek(4))
        self._source = source
        self._unpacked = Unpacked(stored, source, packing) if packing else None
        self.reader: io.BufferedReader = io.BufferedReader(self._unpacked, BUFFER_SIZE) if self._unpacked else stored

    @property
    def is_packed(self) -> bool:
        """Tell whether the log is an archive."""
        return self._unpacked is not None

    @property
    def stored_position(self) -> int:
        """Return how many bytes of the log as stored have been read."""
        return self._source.position

    @property
    def fault(self) -> str | None:
        """Return what is wrong with the archive, as far as it was read; None for a sound one and for plain text."""
        return self._unpacked.fault if self._unpacked else None

    def peek(self) -> bytes:
        """Return the next bytes, up to 64 KiB, without passing over them."""
        return self.reader.peek(BUFFER_SIZE)

    def pass_over(self, count: int) -> None:
        """Go on by `count` bytes, or to the end where there are fewer."""
        if self.reader.seekable():
            self.reader.seek(count, io.SEEK_CUR)
            return
        while count and (passed := self.reader.read(min(MIB, count))):
            count -= len(passed)


class Prefix:
    """The beginning of a log, for its fingerprints of growing length."""

    def __init__(self, reading: Reading) -> None:
        """Take a reading that is at its start; it belongs to the prefix from now on."""
        self._reading = reading
        self._digest = hashlib.sha256()
        self._block_count = 0
        self._ahead = b""

    def can_reach(self, length: int) -> bool:
        """Tell whether a length is not too short already."""
        return max(0, length // MIB - 1) >= self._block_count

    def digest(self, length: int) -> str | None:
        """Return the fingerprint (hex) of the first `length` bytes, None where there are fewer.

        `length` must be one that `can_reach` affirms.
        """
        while self._block_count < length // MIB - 1:
            self._take_block()
        rest = self._peek(length - self._block_count * MIB)
        if rest is None:
            return None
        digest = self._digest.copy()
        digest.update(rest)
        return digest.hexdigest()

    def _take_block(self) -> None:
        number = self._block_count
        hashed = MIB if number < _FULLY_HASHED_BLOCKS else 0 if number % _SAMPLED_EVERY else _SAMPLE_SIZE
        self._digest.update(self._peek(hashed) or b"")
        self._reading.pass_over(max(0, MIB - len(self._ahead)))
        self._ahead = self._ahead[MIB:]
        self._block_count += 1

    def _peek(self, size: int) -> bytes | None:
        """Return the next `size` bytes after the blocks taken, None where there are fewer."""
        if size > len(self._ahead):
            self._ahead += self._reading.reader.read(size - len(self._ahead))
        return self._ahead[:size] if size <= len(self._ahead) else None
