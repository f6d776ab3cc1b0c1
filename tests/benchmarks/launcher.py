"""Runs a command and prints what it cost, as JSON: `python launcher.py COMMAND...`.

Linux counts the memory of the process that starts another one as the other's, up to the moment at which the program
begins. So what is measured is started from here: by a process that is smaller than whatever it starts.
"""

import json
import os
import sys
import time

SILENCE = [(os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0)]


def main() -> int:
    """Run the command without its standard output, and return its exit status."""
    began = time.perf_counter()
    process = os.posix_spawn(sys.argv[1], sys.argv[1:], os.environ, file_actions=SILENCE)
    _, status, usage = os.wait4(process, 0)
    wall = time.perf_counter() - began
    cost = {"wall": wall, "cpu": usage.ru_utime + usage.ru_stime, "peak": usage.ru_maxrss * 1024}
    sys.stdout.write(json.dumps(cost))
    return os.waitstatus_to_exitcode(status)


if __name__ == "__main__":
    sys.exit(main())
