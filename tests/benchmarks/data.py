"""What is measured on, made once from a seed and kept: CRMs, stores, logs.

Stores are made by crmflow's own commands and kept as `crmflow backup` leaves them: one whole file, of which every
measurement gets a copy. The folder's name is a digest of what decides its content; remove the folder to be rid of it.
"""

import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from crmflow.store.schema import MIGRATIONS
from tests.benchmarks import crm, events
from tests.benchmarks.cost import crmflow_on, run
from tests.benchmarks.crm import ENROLLED_AT, FORMER_FROM, FORMER_TO, FORMER_WORKFLOW, Size

SEED = "2026"
TINY = Size(prospects=500, deals=20)
"""A CRM of a thousand active enrollments."""

CROWD = "crowd"
CROWD_SINCE, CROWD_UNTIL = "2025-12-20T00:00:00Z", "2026-02-01T00:00:00Z"


class Scale(NamedTuple):
    """How large a measurement is: the CRM, the logs, and how many lines are appended to an old one."""

    crm: Size
    events: int
    appended: int


SCALES = {
    "full": Scale(Size(prospects=500_000, deals=20_000), events=2_000_000, appended=1_000),
    "small": Scale(Size(prospects=2_500, deals=100), events=10_000, appended=100),
}


class Data:
    """The files of one scale, each made when it is first asked for."""

    def __init__(self, folder: Path, scale: Scale) -> None:
        """Use what lies in a folder, or make it there."""
        self.scale = scale
        self._folder = folder / _digest(scale)
        self._folder.mkdir(parents=True, exist_ok=True)

    def crm(self, size: Size) -> Path:
        """Return the folder that `crm.write` fills."""

        def make(folder: Path) -> None:
            folder.mkdir()
            crm.write(folder, size)

        return self.made(f"crm-{size.prospects}", make)

    def log(self, mix: str, size: Size, count: int) -> Path:
        """Return a log of `count` events about a CRM."""
        name = f"{mix}-{size.prospects}-{count}"

        def make(path: Path) -> None:
            with path.open("w", encoding="utf-8") as file:
                file.writelines(events.lines(events.MIXES[mix], size, count, SEED + name))

        return self.made(f"{name}.jsonl", make)

    def store(self, size: Size) -> Path:
        """Return the store of a CRM that has read no log yet."""

        def make(db: str) -> None:
            files = self.crm(size)
            _crmflow(db, "init")
            _crmflow(db, "workflow", "apply", *sorted(map(str, (files / "workflows").iterdir())))
            _crmflow(db, "record", "import", "prospect", str(files / "prospects.csv"))
            _crmflow(db, "record", "import", "deal", str(files / "deals.csv"))
            former = ("--workflow", FORMER_WORKFLOW, str(files / "former.csv"))
            _crmflow(db, "bulk-enroll", "--at", FORMER_FROM, *former)
            _crmflow(db, "bulk-disenroll", "--at", FORMER_TO, *former)
            for name, at in ENROLLED_AT.items():
                _crmflow(db, "bulk-enroll", "--at", at, "--workflow", name, str(files / "enroll" / f"{name}.csv"))

        return self._made_store(f"store-{size.prospects}.db", make)

    def store_after(self, size: Size, log: Path) -> Path:
        """Return the store of a CRM that has read a log."""

        def make(db: str) -> None:
            place_copy(self.store(size), Path(db))
            _crmflow(db, "ingest", str(log))

        return self._made_store(f"store-{size.prospects}-after-{log.stem}.db", make)

    def crowd(self, size: Size) -> Path:
        """Return a store with one workflow that every prospect is in."""

        def make(db: str) -> None:
            definition = Path(db).with_name("crowd.yaml")
            definition.write_text(f"workflow: {CROWD}\ntype: prospect\n", encoding="utf-8")
            everybody = str(self.crm(size) / "prospects.csv")
            _crmflow(db, "init")
            _crmflow(db, "workflow", "apply", str(definition))
            _crmflow(db, "record", "import", "prospect", everybody)
            _crmflow(db, "bulk-enroll", "--at", CROWD_SINCE, "--workflow", CROWD, everybody)

        return self._made_store(f"crowd-{size.prospects}.db", make)

    def empty_store(self) -> Path:
        """Return a store without anything in it."""
        return self._made_store("empty.db", lambda db: _crmflow(db, "init"))

    def scratch(self, name: str) -> Path:
        """Return a place for what a measurement writes; what an earlier one left there is overwritten or removed."""
        folder = self._folder / "scratch"
        folder.mkdir(exist_ok=True)
        return folder / name

    def made(self, name: str, make: Callable[[Path], None]) -> Path:
        """Return the file or folder of a name; `make` writes it if it is not there, and it appears when it is whole."""
        path = self._folder / name
        if not path.exists():
            with tempfile.TemporaryDirectory(dir=self._folder, prefix="making-") as drafts:
                make(Path(drafts) / name)
                (Path(drafts) / name).rename(path)
        return path

    def _made_store(self, name: str, make: Callable[[str], None]) -> Path:
        def make_and_back_up(path: Path) -> None:
            db = str(path.with_name("working.db"))
            make(db)
            _crmflow(db, "backup", str(path))

        return self.made(name, make_and_back_up)


def place_copy(source: Path, target: Path) -> None:
    """Put a copy of a database in a place, on the disk, with nothing beside it that an earlier one left."""
    for suffix in ("-wal", "-shm", "-journal", ".wal"):
        target.with_name(target.name + suffix).unlink(missing_ok=True)
    shutil.copyfile(source, target)
    with target.open("rb") as file:
        os.fsync(file.fileno())


def _crmflow(db: str, *arguments: str) -> None:
    run(*crmflow_on(Path(db), *arguments))


def _digest(scale: Scale) -> str:
    """Return a name for all that decides what the files hold: the scale, what makes them, and the store's tables."""
    made_by = "".join(Path(each).read_text(encoding="utf-8") for each in (crm.__file__, events.__file__, __file__))
    return hashlib.sha256(f"{scale}{made_by}{MIGRATIONS}".encode()).hexdigest()[:16]
