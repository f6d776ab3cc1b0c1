"""`--csv`: tables for spreadsheets, which must neither run anything nor lose anything."""

import csv
import io
import json
import random
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.cli.conftest import Crm

FORMULA_MARKS = ("=", "+", "-", "@", "\t", "\r")
PIECES = [*FORMULA_MARKS, "'", '"', ",", ";", "\n", "\\", "SUM(A1)", "1", "é", "\u202e", "x"]


def odd_texts(count: int) -> list[str]:
    """Return texts of odd characters, without white space around them: tables are read without it."""
    chance = random.Random(20260301)
    texts = ("".join(chance.choices(PIECES, k=chance.randint(1, 5))).strip() for _ in range(count))
    return [text or "x" for text in texts]


def test_no_cell_is_a_formula_and_every_value_comes_back(bare: "Crm") -> None:
    """What a spreadsheet would run is guarded by an apostrophe, and reading the table again changes nothing."""
    rows = [{"key": f"p-{number:03}", "note": text} for number, text in enumerate(odd_texts(400))]
    bare("init")
    bare.write("p.jsonl", "".join(json.dumps(row) + "\n" for row in rows))
    bare("record", "import", "prospect", "p.jsonl")
    exported = bare("record", "list", "prospect", "--csv").stdout
    cells = [cell for row in csv.reader(io.StringIO(exported, newline="")) for cell in row]
    assert not [cell for cell in cells if cell.startswith(FORMULA_MARKS)]
    bare.write("again.csv", exported)
    again = bare.json("record", "import", "prospect", "again.csv")
    assert (again["unchanged"], again["changed"], again["invalid"]) == (400, 0, 0)


def test_every_list_can_be_had_as_csv(crm: "Crm") -> None:
    """A list has a header and a row for each thing, also where there is none; JSON and CSV exclude each other."""
    for command in ("enrollment list", "record list deal", "run list", "due", "workflow list"):
        header, *rows = csv.reader(io.StringIO(crm(*command.split(), "--csv").stdout, newline=""))
        assert len(rows) == len(crm.json(*command.split())) > 0
        assert {len(row) for row in rows} == {len(header)}
    assert crm("rejects", "list", "--csv").stdout == "source,line,reason,text\r\n"
    assert "exclude each other" in crm.refused("run", "list", "--csv", "--json", status=2)


def test_a_list_of_records_has_a_column_for_each_field(crm: "Crm") -> None:
    """The columns are those that `record import` reads."""
    listed = crm("record", "list", "deal", "--csv").stdout
    assert listed == "key,status,amount,organization\r\nD-1,open,400,o-1\r\nD-2,open,900,\r\n"
