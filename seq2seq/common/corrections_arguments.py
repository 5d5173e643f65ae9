"""The arguments of `seq2seq corrections`.

Why: the command line is parsed before anything else is imported, so they stand apart from the command.
"""

from __future__ import annotations

import argparse
import re
from pathlib import Path
from typing import Any

FILE = Path("corpora/corrections.jsonl")
STATES = ("new", "accepted", "rejected")  # those of the store


def add(commands: Any) -> None:
    """Add the command to the sub-parsers of argparse."""
    parser = commands.add_parser(
        "corrections",
        help="review the corrections that users send, and export them as a source of the corpus",
        description="Review the corrections that users send, and export the accepted ones as a source.",
    )
    actions = parser.add_subparsers(dest="action", required=True, metavar="action")

    listed = actions.add_parser("list", help="a table of those that wait for a review")
    listed.add_argument("--all", action="store_true", help="those of every state")
    listed.add_argument("--state", choices=STATES, help="default: new")
    listed.add_argument("--who", metavar="NAME", help="those that NAME has sent")
    listed.add_argument("--json", action="store_true", help="for programs")

    show = actions.add_parser("show", help="all fields")
    show.add_argument("numbers", nargs="+", type=numbers, metavar="NUMBER", help="3, 5-9 or 12-")
    show.add_argument("--json", action="store_true", help="for programs")

    for name, text in (("accept", "for the next export"), ("reject", "leave out of exports")):
        action = actions.add_parser(name, help=text)
        action.add_argument("numbers", nargs="*", type=numbers, metavar="NUMBER", help="3, 5-9 or 12-")
        action.add_argument("--all", action="store_true", help="all that wait for a review")
        action.add_argument("--who", metavar="NAME", help="of these, those that NAME has sent")
        action.add_argument("--by", metavar="NAME", help="the reviewer; default: the user of git, or login")

    export = actions.add_parser("export", help="write the accepted ones as a source of the corpus")
    export.add_argument("file", nargs="?", type=Path, default=FILE, metavar="FILE", help=f"default: {FILE}")
    export.add_argument("--held-out", type=Path, metavar="FILE", help="default: FILE with -held-out")
    export.add_argument(
        "--share", type=share, default=0.2, help="held out, by hash of the source; default: 0.2"
    )
    export.add_argument("--from", dest="source_language", metavar="LANGUAGE", help="of several directions")
    export.add_argument("--to", dest="target_language", metavar="LANGUAGE")
    export.add_argument("--track", action="store_true", help="put both files under `dvc add`")


def numbers(text: str) -> tuple[int, int | None]:
    """First and last number of `3`, `5-9` or `12-`; raises ArgumentTypeError."""
    found = re.fullmatch(r"([1-9][0-9]{0,17})(-([1-9][0-9]{0,17})?)?", text)
    if not found:
        raise argparse.ArgumentTypeError(f"{text!r} is no number (3) and no range (5-9, 12-)")
    first = int(found[1])
    last = first if found[2] is None else int(found[3]) if found[3] else None
    if last is not None and last < first:
        raise argparse.ArgumentTypeError(f"{text!r} is an empty range")
    return first, last


def share(text: str) -> float:
    """A share from 0 to 1, 1 excluded; raises ArgumentTypeError."""
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no share from 0 to 1")
    return value
