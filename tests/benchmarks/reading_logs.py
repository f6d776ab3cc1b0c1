"""What `crmflow ingest` costs: against others that do the same, with a longer log, and on an ordinary night."""

from collections.abc import Iterator
from pathlib import Path

from tests.benchmarks import outcomes
from tests.benchmarks.cost import PYTHON, Contestant, crmflow_on, in_turn, run
from tests.benchmarks.data import TINY, Data, place_copy
from tests.benchmarks.events import MIXES
from tests.benchmarks.table import Row, Target, compare

PEERS: dict[str, frozenset[str]] = {
    "duckdb_sql": frozenset({"exit", "field", "bounced"}),
    "plain_python": frozenset({"exit", "field", "bounced"}),
    "sqlite_utils_sql": frozenset({"exit"}),
    "floor": frozenset(),
}
"""The other contestants of `ingest`, and the kinds of changes that each of them makes: these must be crmflow's."""


def ingest(data: Data, repeat: int) -> Iterator[list[Row]]:
    """Measure `crmflow ingest` of a long log against others that do the same with it."""
    size = data.scale.crm
    for mix in MIXES:
        log, store = data.log(mix, size, data.scale.events), data.scratch("store.db")
        contestants = {"crmflow ingest": _on_copy(data.store(size), store, log)}
        contestants |= {peer: _peer(data, peer, log) for peer in PEERS}
        costs = in_turn(contestants, repeat)
        ours = outcomes.of_store(store)
        for peer, kinds in PEERS.items():
            theirs = run(*_command(peer, "outcome", data.scratch(f"{peer}.db"))).splitlines()
            outcomes.require_same(peer, frozenset(theirs), ours, kinds=kinds)
        yield compare(
            f"ingest {mix}: {data.scale.events:,} events end {outcomes.exit_count(ours):,} enrollments", costs
        )


def tenfold(data: Data, repeat: int) -> Iterator[list[Row]]:
    """Measure what a log ten times as long takes: ten times the time, and as much memory."""
    size, store = data.scale.crm, data.scratch("store.db")
    logs = {
        f"{count:,} events": data.log("steady", size, count) for count in (data.scale.events, data.scale.events // 10)
    }
    costs = in_turn({name: _on_copy(data.store(size), store, log) for name, log in logs.items()}, repeat)
    yield compare("ingest steady, ten times the events", costs, dict.fromkeys(costs, Target("wall", 10.5)))


def append(data: Data, repeat: int) -> Iterator[list[Row]]:
    """Measure new lines at the end of a log that was read before: an ordinary night, whatever lies behind it.

    The lines are about people whom the large CRM and the small one both have.
    """
    old = data.log("steady", data.scale.crm, data.scale.events)
    new = data.log("first", TINY, data.scale.appended)
    grown, large, small = data.scratch("grown.jsonl"), data.scratch("large.db"), data.scratch("small.db")
    place_copy(old, grown)
    with grown.open("ab") as file:
        file.write(new.read_bytes())
    costs = in_turn(
        {
            "crmflow ingest": _on_copy(data.store_after(data.scale.crm, old), large, grown),
            "with 1,000 enrollments": _on_copy(data.store_after(TINY, old), small, grown),
            "import typer, sqlite3": Contestant([PYTHON, "-c", "import typer, sqlite3"]),
        },
        repeat,
    )
    for store in (large, small):
        outcomes.require_count(store.name, outcomes.count(store, _LINES_READ_LAST), data.scale.appended)
    targets = {"with 1,000 enrollments": Target("wall", 1.2), "import typer, sqlite3": Target("wall", 3, wish=2)}
    yield compare(f"{data.scale.appended:,} lines appended to a log of {data.scale.events:,}", costs, targets)


_LINES_READ_LAST = "SELECT line_count FROM reading ORDER BY id DESC LIMIT 1"


def _on_copy(source: Path, store: Path, log: Path) -> Contestant:
    return Contestant(crmflow_on(store, "ingest", str(log)), lambda: place_copy(source, store))


def _peer(data: Data, peer: str, log: Path) -> Contestant:
    def make(path: Path) -> None:
        run(*_command(peer, "prepare", data.crm(data.scale.crm), path))

    database, prepared = data.scratch(f"{peer}.db"), data.made(f"{peer}.db", make)
    return Contestant(_command(peer, "ingest", log, database), lambda: place_copy(prepared, database))


def _command(peer: str, *arguments: str | Path) -> list[str]:
    return [PYTHON, "-m", f"tests.benchmarks.peers.{peer}", *map(str, arguments)]
