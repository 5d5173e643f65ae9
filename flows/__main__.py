"""`seq2seq`: the command line. Commands that run stages, move the champion or act on a server are here.

Why: `--help` prints at once, so nothing heavy is imported until a command is chosen. The stages, and the
commands that only read or edit files, are those of seq2seq/__main__.py.
"""

from __future__ import annotations

import argparse
import sys
from typing import Any

from seq2seq import __main__ as package


def main(arguments: list[str] | None = None) -> int:
    """Run one command; returns the exit status, a member of seq2seq.common.exits.Exit."""
    options = parser().parse_args(arguments)
    if "interrupted" not in options:  # a command of the package
        return package.run(options)
    from flows import console, failures

    display = console.terminal()
    token = console.current.set(display)
    try:
        return failures.status_of(lambda: _act(options), display, options.interrupted)
    finally:
        console.current.reset(token)


def parser() -> argparse.ArgumentParser:
    """The parser of the whole command line."""
    whole, commands = package.new_parser()
    add_commands(commands)
    package.add_commands(commands)
    return whole


def add_commands(commands: Any) -> None:
    """Add the commands of this file to the sub-parsers of argparse."""
    run = commands.add_parser("run", help="run what is not fresh, promote, show the result")
    run.add_argument("--recipe", metavar="NAME", help="a file of recipes/, written into params.yaml")
    run.add_argument(
        "--set", action="append", default=[], metavar="section.key=value", help="likewise a value"
    )
    run.add_argument("--until", metavar="STAGE", help="end with this stage")
    run.add_argument(
        "--force", action="append", default=[], metavar="STAGE", help="run it although it is fresh"
    )
    run.add_argument(
        "--accept", metavar="REASON", help="let exceeded limits of quality pass; recorded with the model"
    )
    run.add_argument("--dry", action="store_true", help="print what would run and why, change nothing")
    run.set_defaults(interrupted="run again: finished stages are kept, a training goes on")

    promote = commands.add_parser("promote", help="make the tree's version champion if it is fit and better")
    promote.add_argument("--force", action="store_true", help="promote it whatever the policy decides")
    promote.add_argument("--reason", help="why it is forced; kept in the log")
    promote.set_defaults(interrupted="run again: nothing is left half done")

    approve = commands.add_parser("approve", help="make a version champion that waits for approval")
    approve.add_argument("version", metavar="VERSION", help="its number, as `seq2seq history` prints it")
    approve.add_argument("--name", help="registered model; default: register.name of params.yaml")
    approve.add_argument("--reason", required=True, help="why; kept in the log")
    approve.set_defaults(interrupted="run it again")

    rollback = commands.add_parser("rollback", help="make an older version champion again")
    rollback.add_argument("--to", metavar="VERSION", help="default: the version that served before this one")
    rollback.add_argument("--name", help="registered model; default: register.name of params.yaml")
    rollback.add_argument("--reason", required=True, help="why; kept in the log")
    rollback.set_defaults(interrupted="run it again")

    gc = commands.add_parser("gc", help="list what nothing needs any more: versions, runs, files, cache")
    gc.add_argument("--delete", action="store_true", help="delete it; default: only list it")
    gc.add_argument("--older-than", type=float, default=30, metavar="DAYS", help="default: 30")
    gc.add_argument("--name", help="registered model; default: register.name of params.yaml")
    gc.set_defaults(interrupted="run again: it goes on where it was")

    overdue = commands.add_parser("overdue", help="alert if no run has succeeded lately, or one was lost")
    overdue.add_argument("--within", type=float, default=26, metavar="HOURS", help="default: 26")
    overdue.add_argument("--name", help="registered model; default: register.name of params.yaml")
    overdue.set_defaults(interrupted="run it again")

    deploy = commands.add_parser("deploy", help="put infra/prefect.yaml on the Prefect server")
    deploy.set_defaults(interrupted="run it again: deploying twice changes nothing")

    worker = commands.add_parser("worker", help="run what that server schedules, until Ctrl-C")
    worker.add_argument("--name", help="of this worker on the server's page; default: one made by Prefect")
    worker.add_argument(
        "--with-healthcheck",
        action="store_true",
        help="answer at /health of PREFECT_WORKER_WEBSERVER_HOST and _PORT (0.0.0.0:8080)",
    )
    worker.set_defaults(interrupted="")

    cleanup = commands.add_parser("cleanup", help="remove what runs have written, and nothing else")
    cleanup.set_defaults(interrupted="run again: it goes on where it was")


def _act(options: argparse.Namespace) -> int:
    from flows import approve, cleanup, deploy, garbage, overdue, promote, rollback, run, worker

    modules = {"run": run, "promote": promote, "approve": approve, "rollback": rollback}
    modules |= {"gc": garbage, "overdue": overdue, "deploy": deploy, "worker": worker, "cleanup": cleanup}
    status: int = modules[options.command].command(options)
    return status


if __name__ == "__main__":
    sys.exit(main())
