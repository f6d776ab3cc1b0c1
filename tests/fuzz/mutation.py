"""Inputs that nobody thought of: what is near to those of a corpus, by changes that a seed decides."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from random import Random
from typing import NamedTuple

CORPUS = Path(__file__).parent / "corpus"
MOST_BYTES = 8 * 1024
CHANGE_COUNTS = (1, 1, 2, 4)
MOST_REPEATS = 64

_ANYWHERE = (
    b"\0",
    b"\xef\xbb\xbf",
    b"\xff\xfe",
    b"\xed\xa0\x80",
    b"\xc3",
    b"\t",
    b"\r",
    b"\n",
    b"\r\n",
    b" ",
    b'"',
    b"'",
    b"\\",
    b"9" * 20,
    b"1" * 4301,
    b"-",
    b"\x1b[31m",
    b"\x1b]52;c;eA==\x07",
    *(
        each.encode()
        for each in "\x85\x9b\x0b\x0c\x1c\u2028\u202e\u2066\u200b\ufeff\ue000\U000e0041\U0001f642\u0130\u03a3\u0662"
    ),
)
_JSON = (
    b'{"type":',
    b'"time": "2026-03-01T09:30:00Z"',
    b'"prospect": "ana", ',
    b'"deal": 9, ',
    b'"value": ',
    b'"old": ',
    b'"id": ',
    b'"replied"',
    b'"field_updated"',
    b'"email_sent"',
    rb"\ud800",
    rb"\u0000",
    rb"\u0074",
    rb"\"",
    b"null",
    b"true",
    b"NaN",
    b"-Infinity",
    b"1e999",
    b"1e400",
    b"-0",
    b"0.5",
    b"9223372036854775808",
    b"[",
    b"]",
    b"{",
    b"}",
    b'{"a":',
    b",",
    b":",
)
_YAML = (
    b"&a *a",
    b"&a ",
    b"*a",
    b"<<: ",
    b"!!python/object",
    b"!!str ",
    b"!<x> ",
    b"%YAML 1.1\n",
    b"---\n",
    b"...\n",
    b"- ",
    b"? ",
    b": ",
    b"|\n",
    b">+2\n",
    b"#",
    b"[",
    b"{",
    b"]",
    b"}",
    b", ",
    b"  ",
    b"@",
    b"`",
    rb"\UFFFFFFFF",
    rb"\x",
    b"workflow: ",
    b"type: deal\n",
    b"disenrollment_triggers:\n",
    b"- trigger: field_updated\n",
    b"to: [",
    b"url: ",
    b"null",
    b"~",
    b"1e999",
    b"0x1F",
    b"9223372036854775808",
)
TOKENS: dict[str, tuple[bytes, ...]] = {
    "events": _ANYWHERE + _JSON,
    "workflows": _ANYWHERE + _YAML,
    "tables": (*_ANYWHERE, *_JSON, b";", b'""', b'"\n', b"=", b"'=", b"key", b"key,email\n"),
    "times": (*_ANYWHERE, *b"T Z : . + - +14:00 :60 24:00 0000- 9999- -23:59 W01-1 0d w 36500d".split()),
    "addresses": (*_ANYWHERE, *b"* ** *a* http:// https:// *:// :// : :80 :443 :* / // ? # ?a=b .example A".split()),
    "terminal": (*_ANYWHERE, *b"[red] [/red] :smile: \\x1b \\n \xc2\x90 \xf3\xa0\x81\x81".split()),
}
"""The words that each folder of the corpus is about."""


class _Luck(NamedTuple):
    """What a change draws from."""

    draw: Random
    tokens: Sequence[bytes]
    corpus: Sequence[bytes]


def read_corpus(kind: str) -> dict[str, bytes]:
    """Return the inputs of a folder of the corpus by their names."""
    return {path.name: path.read_bytes() for path in sorted((CORPUS / kind).iterdir())}


def mutants(kind: str, seed: object) -> Iterator[bytes]:
    """Yield, without end, inputs near to those of a folder of the corpus; equal seeds give equal inputs."""
    luck = _Luck(Random(f"{kind} {seed}"), TOKENS[kind], tuple(read_corpus(kind).values()))
    while True:
        data = luck.draw.choice(luck.corpus)
        for _ in range(luck.draw.choice(CHANGE_COUNTS)):
            data = luck.draw.choice(_CHANGES)(data, luck)
        yield data[:MOST_BYTES]


def _flip_bit(data: bytes, luck: _Luck) -> bytes:
    if not data:
        return data
    at = luck.draw.randrange(len(data))
    return data[:at] + bytes((data[at] ^ 1 << luck.draw.randrange(8),)) + data[at + 1 :]


def _set_byte(data: bytes, luck: _Luck) -> bytes:
    start, end = _span(data, luck, longest=1)
    return data[:start] + luck.draw.randbytes(1) + data[end:]


def _insert_token(data: bytes, luck: _Luck) -> bytes:
    at = luck.draw.randint(0, len(data))
    return data[:at] + luck.draw.choice(luck.tokens) + data[at:]


def _put_token_over(data: bytes, luck: _Luck) -> bytes:
    start, end = _span(data, luck, longest=20)
    return data[:start] + luck.draw.choice(luck.tokens) + data[end:]


def _insert_repeated_token(data: bytes, luck: _Luck) -> bytes:
    at = luck.draw.randint(0, len(data))
    return data[:at] + luck.draw.choice(luck.tokens) * luck.draw.randint(2, MOST_REPEATS) + data[at:]


def _remove(data: bytes, luck: _Luck) -> bytes:
    start, end = _span(data, luck, longest=40)
    return data[:start] + data[end:]


def _copy_within(data: bytes, luck: _Luck) -> bytes:
    start, end = _span(data, luck, longest=200)
    at = luck.draw.randint(0, len(data))
    return data[:at] + data[start:end] + data[at:]


def _cut_off(data: bytes, luck: _Luck) -> bytes:
    return data[: luck.draw.randint(0, len(data))]


def _splice(data: bytes, luck: _Luck) -> bytes:
    other = luck.draw.choice(luck.corpus)
    return data[: luck.draw.randint(0, len(data))] + other[luck.draw.randint(0, len(other)) :]


def _swap_lines(data: bytes, luck: _Luck) -> bytes:
    lines = data.split(b"\n")
    one, other = luck.draw.randrange(len(lines)), luck.draw.randrange(len(lines))
    lines[one], lines[other] = lines[other], lines[one]
    return b"\n".join(lines)


def _span(data: bytes, luck: _Luck, *, longest: int) -> tuple[int, int]:
    start = luck.draw.randint(0, len(data))
    return start, min(len(data), start + luck.draw.randint(1, longest))


_CHANGES: tuple[Callable[[bytes, _Luck], bytes], ...] = (
    _flip_bit,
    _set_byte,
    _insert_token,
    _put_token_over,
    _insert_repeated_token,
    _remove,
    _copy_within,
    _cut_off,
    _splice,
    _swap_lines,
)
