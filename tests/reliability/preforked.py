"""Runs crmflow many times a second: imported once, forked anew for every run, before any store is open.

Each line on standard input asks for a run; the answer is a line on standard output. A run may be sent a signal after a
while, counted from where the program begins; it goes through a descriptor of the process, so that it never meets
another one. Python files named as arguments are run first: they may change what the program is.
"""

import gc
import importlib
import json
import os
import pkgutil
import resource
import runpy
import select
import signal
import sys
import time
from typing import Any

import typer

import crmflow
from crmflow.cli import main


def import_everything() -> None:
    """Import what commands import when they run, and keep the garbage collector of each run from looking at it."""
    for package in (crmflow, typer):
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            if not module.name.endswith(("__main__", "_winconsole")):
                importlib.import_module(module.name)
    importlib.import_module("sqlite_utils.migrations")
    gc.freeze()


def become(request: dict[str, Any]) -> None:
    """Turn this process into the run that was asked for; one in the background would ignore an interruption."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.environ.update(request["environment"])
    os.chdir(request["directory"])
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
    for descriptor, opened in (
        (0, os.open(os.devnull, os.O_RDONLY)),
        (1, os.open(f"{request['output']}.out", flags, 0o600)),
        (2, os.open(f"{request['output']}.err", flags, 0o600)),
    ):
        os.dup2(opened, descriptor)
        os.close(opened)
    if request["most_bytes"] is not None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (request["most_bytes"],) * 2)
    sys.argv = ["crmflow", *request["arguments"]]


def attend(child: int, request: dict[str, Any]) -> dict[str, Any]:
    """Wait for the run's end, sending it the signal on the way; return how it ended."""
    descriptor = os.pidfd_open(child)
    began = time.monotonic()
    poller = select.poll()
    poller.register(descriptor, select.POLLIN)
    was_signalled = False
    if request["signal"] and not poller.poll(request["after"] * 1000):
        signal.pidfd_send_signal(descriptor, request["signal"])
        was_signalled = True
    _, status = os.waitpid(child, 0)
    os.close(descriptor)
    return {
        "status": os.waitstatus_to_exitcode(status),
        "was_signalled": was_signalled,
        "seconds": time.monotonic() - began,
    }


def serve() -> None:
    """Answer requests until there are no more; in a forked child, return to run the program."""
    while request_line := sys.stdin.readline():
        request = json.loads(request_line)
        begins, beginning = os.pipe()
        child = os.fork()
        if child == 0:
            become(request)
            os.close(begins)
            os.close(beginning)
            main()
        os.close(beginning)
        os.read(begins, 1)  # returns when the child has closed its end
        os.close(begins)
        os.write(1, json.dumps(attend(child, request)).encode() + b"\n")


if __name__ == "__main__":
    import_everything()
    for change in sys.argv[1:]:
        runpy.run_path(change)
    serve()
