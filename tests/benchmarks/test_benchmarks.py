"""The measurements themselves, in small: everything runs, and all contestants come to the same result. No times."""

import json
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.benchmarks.cost import PYTHON, ROOT, Contestant, in_turn, measure
from tests.benchmarks.crm import Size
from tests.benchmarks.data import SCALES, Data
from tests.benchmarks.events import KINDS, MIXES, lines
from tests.benchmarks.outcomes import OutcomeError, require_count, require_same

SMALL = SCALES["small"]


@pytest.fixture(scope="module")
def document(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What a small measurement of everything writes as JSON."""
    folder = tmp_path_factory.mktemp("benchmarks")
    command = [sys.executable, "-m", "tests.benchmarks", "--size", "small", "--repeat", "1"]
    ended = subprocess.run(
        [*command, "--data", str(folder), "--json", str(folder / "table.json")],
        cwd=ROOT,
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    written: dict[str, Any] = json.loads((folder / "table.json").read_text())
    assert all(row["name"] in ended.stdout for row in written["rows"])
    return written


def test_all_contestants_come_to_the_same_result(document: dict[str, Any]) -> None:
    """Every measurement ends, which it does only if its contestants agree, and compares at least two."""
    contestants: dict[str, int] = {}
    for row in document["rows"]:
        contestants[row["measurement"]] = contestants.get(row["measurement"], 0) + 1
    assert sorted(contestants.values()) == [2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 3, 5, 5, 6, 6, 6]


def test_costs_are_those_of_processes(document: dict[str, Any]) -> None:
    """Every cost is one that a process can have: some time, some memory; a ratio is the subject's cost to another's."""
    subject: dict[str, Any] = {}
    for row in document["rows"]:
        assert row["wall"] > 0
        assert row["cpu"] > 0
        assert row["peak"] > 1_000_000
        if row["ratios"] is None:
            subject = row
        else:
            assert row["ratios"]["wall"] == pytest.approx(subject["wall"] / row["wall"])


@pytest.mark.parametrize(("mix", "least", "most"), [("first", 0.45, 0.55), ("steady", 0.005, 0.015)])
def test_a_mix_ends_as_many_enrollments_as_it_says(
    document: dict[str, Any], mix: str, least: float, most: float
) -> None:
    """A first replay ends half of all enrollments, an ordinary night one for every hundred events."""
    [title] = {row["measurement"] for row in document["rows"] if row["measurement"].startswith(f"ingest {mix}: ")}
    ended = int(title.split()[-2].replace(",", ""))
    of = 2 * SMALL.crm.prospects if mix == "first" else SMALL.events
    assert least <= ended / of <= most


@pytest.mark.parametrize("mix", MIXES)
def test_a_log_is_the_same_each_time(mix: str) -> None:
    """The same seed gives the same log, another one another; its kinds are as frequent as the table says."""
    size = Size(prospects=100, deals=10)
    log = list(lines(MIXES[mix], size, 2_000, "one"))
    assert log == list(lines(MIXES[mix], size, 2_000, "one"))
    assert log != list(lines(MIXES[mix], size, 2_000, "another"))
    kinds = [json.loads(line)["type"] for line in log]
    assert all(abs(kinds.count(kind) - 20 * share) < 100 for kind, share in KINDS.items())
    assert 180 < sum(map(len, log)) / len(log) < 200


def test_data_are_kept(tmp_path: Path) -> None:
    """What was made once is used again as it is."""
    size = Size(prospects=100, deals=10)
    log = Data(tmp_path, SMALL).log("first", size, 10)
    log.write_text("kept")
    assert Data(tmp_path, SMALL).log("first", size, 10).read_text() == "kept"


def test_another_result_is_an_error() -> None:
    """A contestant that came to something else is named, with one change too many and one too few."""
    ours = frozenset({"exit,w,ana,t,replied,e-1", "field,ana,status,lost"})
    require_same("peer", frozenset({"exit,w,ana,t,replied,e-1"}), ours, kinds=frozenset({"exit"}))
    with pytest.raises(OutcomeError, match=r"peer came to 1 .* crmflow to 1: \+ exit,w,ana,t,replied,e-2; - exit"):
        require_same("peer", frozenset({"exit,w,ana,t,replied,e-2"}), ours, kinds=frozenset({"exit"}))
    with pytest.raises(OutcomeError):
        require_count("peer", 2, 3)


def test_memory_is_that_of_the_process_alone() -> None:
    """A large process can measure a small one, of which the memory is the small one's."""
    ballast = bytearray(200_000_000)
    cost = measure(Contestant([PYTHON, "-c", "pass"]))
    assert cost.peak < len(ballast) / 2


def test_contestants_take_turns(tmp_path: Path) -> None:
    """Each contestant is prepared and run once in each round."""
    diary: list[str] = []
    contestants = {
        name: Contestant([PYTHON, "-c", f"open({str(tmp_path / name)!r}, 'w')"], partial(diary.append, name))
        for name in ("one", "other")
    }
    costs = in_turn(contestants, 2)
    assert diary == ["one", "other", "one", "other"]
    assert list(costs) == ["one", "other"]
    assert (tmp_path / "one").exists()
