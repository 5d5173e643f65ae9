"""`python -m infra.backup make|restore FOLDER`: a backup of the team's servers, or of one machine's files.

Why: `make backup` and `make restore` call it.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

from infra.backup import files, servers
from infra.backup.manifest import FILES, SERVERS
from infra.commands import exit_status
from infra.services import __main__ as services
from infra.services import topology
from seq2seq.common import environment
from seq2seq.common.exits import Exit


def main(arguments: list[str] | None = None) -> int:
    """Run one command; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m infra.backup", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    make = commands.add_parser("make", help="write a backup")
    make.add_argument("--with-secrets", action="store_true", help="the passwords as well")
    restore = commands.add_parser("restore", help="restore one into an empty set or folder")
    restore.add_argument("--force", action="store_true", help="into one that is not empty as well")
    for command in (make, restore):
        command.add_argument("folder", type=Path)
        command.add_argument(
            "--kind", choices=(SERVERS, FILES), help="default: servers if there are any, else files"
        )
    options = parser.parse_args(arguments)
    environment.configure_process(topology.ROOT)
    return exit_status(lambda: _act(options))


def _act(options: argparse.Namespace) -> int:
    began, folder, where = time.monotonic(), options.folder.resolve(), topology.from_environment()
    kind = options.kind or _kind(options, folder, where)
    if options.command == "make":
        if kind == SERVERS:
            found = servers.back_up(folder, where, options.with_secrets)
        else:
            found = files.back_up(folder, topology.ROOT, options.with_secrets)
        line = f"backup of {kind}: {folder}"
    else:
        if kind == SERVERS:
            found = servers.restore(folder, where, options.force)
        else:
            found = files.restore(folder, topology.ROOT, options.force)
        line = f"restored {kind} from {folder}"
    seconds = time.monotonic() - began
    print(f"{line}, {len(found.files):,} files, {found.size() / 2**20:.1f} MB, {seconds:.0f} s")
    return Exit.DONE


def _kind(options: argparse.Namespace, folder: Path, where: topology.Topology) -> str:
    if options.command == "restore":
        return FILES if (folder / files.BELOW).is_dir() else SERVERS
    return SERVERS if (where.folder / services.SETTINGS).exists() else FILES


if __name__ == "__main__":
    sys.exit(main())
