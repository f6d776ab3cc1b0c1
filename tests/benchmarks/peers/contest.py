"""What every contestant of crmflow's is asked: three commands, of which only the second is measured.

`prepare FOLDER DB` makes its database from the CRM's files, `ingest LOG DB` is the contest, `outcome DB` prints what
came of it: a line for each enrollment that a trigger ended, `exit,WORKFLOW,RECORD,TIME,TRIGGER,EVENT`, and, where the
contestant keeps them, for each field that was updated, `field,RECORD,NAME,VALUE`, and for each prospect whose email
bounced, `bounced,RECORD`.
"""

import sys
from collections.abc import Callable, Iterable
from pathlib import Path


def enter(
    prepare: Callable[[Path, Path], None],
    ingest: Callable[[Path, Path], None],
    outcome: Callable[[Path], Iterable[Iterable[str]]],
) -> None:
    """Do what this process was called for."""
    match sys.argv[1:]:
        case ["prepare", folder, database]:
            prepare(Path(folder), Path(database))
        case ["ingest", log, database]:
            ingest(Path(log), Path(database))
        case ["outcome", database]:
            sys.stdout.writelines(f"{','.join(row)}\n" for row in outcome(Path(database)))
        case _:
            sys.exit(__doc__)
