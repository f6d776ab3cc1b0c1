"""Logs that were compressed: gzip and Zstandard, known by their first bytes, unpacked in bounded memory.

Several members or frames one after the other, and zeros behind the last one, are normal. Whatever is wrong with an
archive ends it as if it were finished, and `Unpacked.fault` says what it was: what could be unpacked is still there.

zlib limits its output by itself. Zstandard's streaming reader says nothing of a frame that breaks off, and its
incremental one has no limit for output, so frames are handed over block by block, as RFC 8878 (3.1.1) lays them out:
a block unpacks to at most 128 KiB, and where the blocks end too early is seen.
"""

import io
import zlib
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import TYPE_CHECKING, Literal

from crmflow.sources.inputs import BUFFER_SIZE, Source

if TYPE_CHECKING:
    import zstandard

Packing = Literal["gzip", "zstd"]
MAX_RATIO = 200
FREE_BYTES = 10_000_000
"""An archive may unpack to `MAX_RATIO` times its size; up to so many bytes nobody asks."""

_GZIP_MAGIC = b"\x1f\x8b"
_ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"
_SKIPPABLE_MAGICS = tuple(bytes((number,)) + b"\x2a\x4d\x18" for number in range(0x50, 0x60))
_CHUNK = 256 * 1024
_RLE_BLOCK = 1
_TRUNCATED = "truncated archive"


class ArchiveError(Exception):
    """An archive can't be unpacked further; its text says why."""


def packing_of(head: bytes) -> Packing | None:
    """Return what the first four bytes of a file say it is packed with, None for plain text."""
    if head.startswith(_GZIP_MAGIC):
        return "gzip"
    return "zstd" if head.startswith((_ZSTD_MAGIC, *_SKIPPABLE_MAGICS)) else None


class Unpacked(Source):
    """What an archive holds; after its last byte `fault` says what is wrong with the archive, if anything."""

    def __init__(self, packed: io.BufferedReader, source: Source, packing: Packing) -> None:
        """Take the reader of the archive and the source under it, which knows how much was read."""
        self.fault: str | None = None
        self._chunks = filter(None, _UNPACKERS[packing](packed))
        self._source = source
        self._unpacked_bytes = 0
        self._rest = b""

    def more(self, size: int) -> bytes:
        """Return up to `size` bytes, none at the end or at a fault."""
        try:
            chunk = self._rest or self._next_chunk()
        except ArchiveError as fault:
            self.fault = str(fault)
            return b""
        self._rest = chunk[size:]
        return chunk[:size]

    def _next_chunk(self) -> bytes:
        chunk = next(self._chunks, b"")
        self._unpacked_bytes += len(chunk)
        if self._unpacked_bytes > max(FREE_BYTES, MAX_RATIO * self._source.position):
            raise ArchiveError(f"archive that unpacks to more than {MAX_RATIO} times its size")
        return chunk


def _gunzip(packed: io.BufferedReader) -> Iterator[bytes]:
    while _has_more(packed, _GZIP_MAGIC[:1]):
        unpacker = zlib.decompressobj(wbits=31)
        while not unpacker.eof:
            data = packed.peek()
            before = unpacker.copy()
            try:
                chunk = unpacker.decompress(data, _CHUNK)
            except zlib.error as error:
                yield from _before_error(before, data)
                raise ArchiveError(f"corrupt archive: {error}") from error
            packed.read(len(data) - len(unpacker.unconsumed_tail) - len(unpacker.unused_data))
            yield chunk
            if not chunk and not data:
                raise ArchiveError(_TRUNCATED)


def _before_error(unpacker: "zlib._Decompress", data: bytes) -> Iterator[bytes]:
    """Yield what `data` holds before an error in it, which zlib keeps to itself: by halves, down to the byte."""
    size = BUFFER_SIZE
    while size := size // 2:
        trial = unpacker.copy()
        with suppress(zlib.error):
            yield trial.decompress(data[:size])
            unpacker, data = trial, data[size:]


def _unzstd(packed: io.BufferedReader) -> Iterator[bytes]:
    while _has_more(packed, _ZSTD_MAGIC[:1] + bytes(magic[0] for magic in _SKIPPABLE_MAGICS)):
        magic = _exactly(packed, 4)
        if magic in _SKIPPABLE_MAGICS:
            _skip(packed, int.from_bytes(_exactly(packed, 4), "little"))
        elif magic == _ZSTD_MAGIC:
            yield from _unzstd_frame(packed)
        else:
            raise ArchiveError("corrupt archive: no frame where one should begin")


def _unzstd_frame(packed: io.BufferedReader) -> Iterator[bytes]:
    """Yield what a frame holds; the library is loaded only where there is one."""
    import zstandard

    try:
        yield from _unzstd_blocks(packed, zstandard.ZstdDecompressor().decompressobj())
    except zstandard.ZstdError as error:
        raise ArchiveError(f"corrupt archive: {error}") from error


def _unzstd_blocks(packed: io.BufferedReader, unpacker: "zstandard.ZstdDecompressionObj") -> Iterator[bytes]:
    descriptor = _exactly(packed, 1)
    unpacker.decompress(_ZSTD_MAGIC + descriptor + _exactly(packed, _rest_of_header(descriptor[0])))
    is_last = False
    while not is_last:
        header = _exactly(packed, 3)
        word = int.from_bytes(header, "little")
        is_last = bool(word & 1)
        yield unpacker.decompress(header + _exactly(packed, 1 if word >> 1 & 3 == _RLE_BLOCK else word >> 3))
    if descriptor[0] & 0b100:
        unpacker.decompress(_exactly(packed, 4))  # compares the checksum


def _rest_of_header(descriptor: int) -> int:
    """Return how many bytes of a frame's header follow its descriptor: window, dictionary id, content size."""
    is_single_segment = descriptor >> 5 & 1
    window = 1 - is_single_segment
    dictionary = (0, 1, 2, 4)[descriptor & 0b11]
    content_size = (is_single_segment, 2, 4, 8)[descriptor >> 6]
    return window + dictionary + content_size


def _has_more(packed: io.BufferedReader, first_bytes: bytes) -> bool:
    """Pass over zeros and tell whether a member follows; raises `ArchiveError` where anything else does."""
    while data := packed.peek():
        content = data.lstrip(b"\0")
        packed.read(len(data) - len(content))
        if content:
            if content[0] not in first_bytes:
                raise ArchiveError("corrupt archive: garbage after its end")
            return True
    return False


def _exactly(packed: io.BufferedReader, size: int) -> bytes:
    data = packed.read(size)
    if len(data) < size:
        raise ArchiveError(_TRUNCATED)
    return data


def _skip(packed: io.BufferedReader, size: int) -> None:
    for start in range(0, size, _CHUNK):
        _exactly(packed, min(_CHUNK, size - start))


_UNPACKERS: dict[Packing, Callable[[io.BufferedReader], Iterator[bytes]]] = {"gzip": _gunzip, "zstd": _unzstd}
