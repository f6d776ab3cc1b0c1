"""The law of the house: which room may import what, who prints, who knows the time, who touches files.

The law stands in the tables; the functions below them find what breaks it in a syntax tree, wherever in the file it is
written. `test_the_law_bites` holds one example of each breach.
"""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import NamedTuple

import pytest

import crmflow

HOUSE = Path(crmflow.__file__).parent
MODULES = sorted(path.relative_to(HOUSE).as_posix() for path in HOUSE.rglob("*.py"))
LONGEST_MODULE = 500


class Room(NamedTuple):
    """What a room may import: rooms of the house and packages from outside."""

    rooms: frozenset[str]
    packages: frozenset[str]


def _room(rooms: str, packages: str) -> Room:
    return Room(frozenset(rooms.split()), frozenset(packages.split()))


ROOMS = {
    "core": _room("core", "msgspec"),
    "definitions": _room("core definitions", "msgspec yaml"),
    "sources": _room("core sources", "crawleruseragents flufl fsspec msgspec zstandard"),
    "store": _room("core store", "sqlite_utils"),
    "operations": _room("core definitions sources store operations", "distributed"),
    "cli": _room("core store operations cli", "platformdirs rich typer vl_convert"),
    "__main__": _room("cli", ""),
    "__init__": _room("", ""),
}
"""Imports only go down."""

FROM_ANYWHERE = sys.stdlib_module_names - {"__future__"} | {"_typeshed"}
"""Packages that every room may import: the standard library, and what exists for type checkers only."""

RESERVED = {
    "distributed": ("operations/engines/cluster.py",),
    "fsspec": ("sources/remote.py",),
    "rich": ("cli/render.py",),
    "sqlite3": ("store/",),
    "vl_convert": ("cli/report/charts.py",),
    "importlib.import_module": (),
}
"""Modules and the only places that may import them, where the table of rooms does not say it already."""

OPENING_THE_STORE = ("crmflow.store.connection",)
"""All that the command line may know of the store: how to open it."""

FORBIDDEN_NAMES = frozenset({"utils", "helpers", "common", "manager"})
"""A function without a room has not been understood yet."""


class Word(NamedTuple):
    """Names in the code that only some places may use, and why."""

    names: frozenset[str]
    places: tuple[str, ...]
    why: str


WORDS = (
    Word(
        frozenset({"print", "sys.stdout", "sys.stderr", "sys.__stdout__", "sys.__stderr__", "Console"}),
        ("cli/render.py",),
        "only render prints",
    ),
    Word(frozenset({"typer.echo", "typer.secho", "typer.prompt", "typer.progressbar"}), (), "render prints, not Typer"),
    Word(
        frozenset({"datetime.now", "datetime.utcnow", "datetime.today", "date.today", "time.time", "time.time_ns"}),
        ("cli/session.py",),
        "there is one clock",
    ),
    Word(
        frozenset({"open", "io.open", "os.open", "io.FileIO"}),
        ("definitions/", "sources/", "store/", "cli/render.py"),
        "closing a second handle of the store's file would drop its locks; render opens the null device",
    ),
    Word(
        frozenset({"*.open"}), ("definitions/", "sources/", "store/", "cli/"), "as above; the command line opens stores"
    ),
    Word(
        frozenset({"*.read_bytes", "*.read_text", "*.write_bytes", "*.write_text", "shutil.*"}),
        ("definitions/", "sources/", "store/"),
        "files are read where their meaning is known",
    ),
    Word(
        frozenset({"hashlib.*"}),
        ("core/identity.py", "definitions/", "sources/", "store/"),
        "a digest is made where it is known what makes two things the same",
    ),
    Word(frozenset({"__import__", "eval", "exec", "globals", "locals"}), (), "what is imported and called is written"),
)


def breaches(where: str, source: str) -> list[str]:
    """Return every breach of the law in one module, `where` being its path in the package."""
    tree = ast.parse(source)
    found = [
        *(breach for module in _imports(tree) for breach in _wrong_import(where, module)),
        *_wrong_words(where, tree),
        *_formatted_markup(tree),
        *_wrong_names(where),
    ]
    if len(source.splitlines()) > LONGEST_MODULE:
        found.append(f"more than {LONGEST_MODULE} lines")
    return found


def _imports(tree: ast.AST) -> Iterator[str]:
    """Yield the full name of everything imported, however deep in the file; `from a import b` is `a.b`."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (each.name for each in node.names)
        elif isinstance(node, ast.ImportFrom):
            start = "." * node.level + (node.module or "")
            yield from (f"{start}.{each.name}" for each in node.names)


def _wrong_import(where: str, module: str) -> Iterator[str]:
    room = PurePosixPath(where).with_suffix("").parts[0]
    package, _, rest = module.partition(".")
    if room not in ROOMS:
        yield f"there is no room {room}"
    elif module.startswith("."):
        yield f"imports {module}: a name without its room"
    elif package == "crmflow":
        if rest != "__version__" and rest.partition(".")[0] not in ROOMS[room].rooms:
            yield f"{room} imports {module}"
        if room == "cli" and rest.startswith("store") and not module.startswith(OPENING_THE_STORE):
            yield f"cli imports {module}: it may only open the store"
    elif package not in ROOMS[room].packages | FROM_ANYWHERE:
        yield f"{room} imports {module}"
    for reserved, places in RESERVED.items():
        if f"{module}.".startswith(f"{reserved}.") and not where.startswith(places):
            yield f"imports {module}"
    if module.startswith("typer._"):
        yield f"imports {module}: Typer's own"


def _wrong_words(where: str, tree: ast.AST) -> Iterator[str]:
    used = {name for node in ast.walk(tree) for name in _names(node)}
    used |= {name for module in _imports(tree) for name in (module, f"{module.partition('.')[0]}.*")}
    for word in WORDS:
        if not where.startswith(word.places):
            yield from (f"uses {name}: {word.why}" for name in sorted(used & word.names))


def _names(node: ast.AST) -> Iterator[str]:
    """Yield the ways in which the law may call a name: `name`, `owner.name`, `owner.*`, `*.name`."""
    if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load):
        yield node.id
    elif isinstance(node, ast.Attribute):
        yield f"*.{node.attr}"
        if isinstance(node.value, ast.Name | ast.Attribute):
            owner = node.value.id if isinstance(node.value, ast.Name) else node.value.attr
            yield f"{owner}.{node.attr}"
            yield f"{owner}.*"


def _formatted_markup(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "print":
            yield from (
                "prints an f-string: values go out as Text" for each in node.args if isinstance(each, ast.JoinedStr)
            )


def _wrong_names(where: str) -> Iterator[str]:
    parts = PurePosixPath(where).with_suffix("").parts
    yield from (f"is named {part}" for part in parts if part in FORBIDDEN_NAMES)


@pytest.mark.parametrize("where", MODULES)
def test_every_module_keeps_the_law(where: str) -> None:
    """No module of the package breaks the law."""
    assert breaches(where, (HOUSE / where).read_text(encoding="utf-8")) == []


@pytest.mark.parametrize(
    ("where", "source"),
    [
        ("core/model.py", "from crmflow.store import runs"),
        ("core/model.py", "def late():\n    if True:\n        import crmflow.operations.enroll"),
        ("core/model.py", "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from crmflow.cli import render"),
        ("core/model.py", "import yaml"),
        ("core/model.py", "from __future__ import annotations"),
        ("core/model.py", "from . import errors"),
        ("definitions/reading.py", "from crmflow.sources import jsonl"),
        ("sources/jsonl.py", "from crmflow.definitions import load"),
        ("store/runs.py", "from crmflow.operations import enroll"),
        ("operations/enroll.py", "from crmflow.cli import session"),
        ("operations/enroll.py", "import sqlite3"),
        ("operations/enroll.py", "def f():\n    from sqlite_utils import Database"),
        ("cli/runs.py", "from crmflow.store import runs"),
        ("cli/runs.py", "from crmflow.sources import jsonl"),
        ("cli/runs.py", "from crmflow.definitions import load"),
        ("cli/runs.py", "import click"),
        ("cli/runs.py", "from typer._click import Context"),
        ("cli/runs.py", "from rich.table import Table"),
        ("cli/report/page.py", "import vl_convert"),
        ("cli/runs.py", "print('x')"),
        ("cli/runs.py", "import sys\nsys.stdout.write('x')"),
        ("cli/runs.py", "from sys import stdout"),
        ("cli/runs.py", "import typer\ntyper.echo('x')"),
        ("cli/render.py", "console.print(f'{x}')"),
        ("cli/runs.py", "from datetime import datetime\nx = datetime.now()"),
        ("cli/runs.py", "import datetime\nx = datetime.datetime.now()"),
        ("operations/enroll.py", "import time\nx = time.time()"),
        ("operations/enroll.py", "with open('crmflow.db') as file: pass"),
        ("operations/enroll.py", "path.open()"),
        ("operations/enroll.py", "import shutil\nshutil.copy('a', 'b')"),
        ("operations/enroll.py", "from shutil import copy"),
        ("operations/enroll.py", "import hashlib\nhashlib.sha256()"),
        ("cli/store.py", "path.read_bytes()"),
        ("core/model.py", "from importlib import import_module"),
        ("core/model.py", "__import__('yaml')"),
        ("core/utils.py", ""),
        ("helpers/text.py", "import re"),
        ("elsewhere.py", "import re"),
        ("core/long.py", "\n" * 501),
    ],
)
def test_the_law_bites(where: str, source: str) -> None:
    """Each breach of the law is found."""
    assert breaches(where, source)


@pytest.mark.parametrize(
    ("where", "source"),
    [
        ("cli/session.py", "from crmflow.store.connection import open_store"),
        ("cli/app.py", "from crmflow import __version__"),
        ("operations/enroll.py", "from crmflow.store import runs"),
        ("store/connection.py", "import sqlite3, os\nos.open('x', 0)"),
        ("cli/runs.py", "with session.open() as store: pass"),
        ("core/model.py", "import re"),
    ],
)
def test_the_law_lets_live(where: str, source: str) -> None:
    """What the table allows is no breach."""
    assert breaches(where, source) == []
