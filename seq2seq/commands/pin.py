"""`seq2seq pin`: write a hub dataset's commit and file hashes into its pin."""

from __future__ import annotations

import argparse

from seq2seq.commands.printing import show_changes
from seq2seq.data import hub


def run(options: argparse.Namespace) -> None:
    """Resolve a pin of a hub dataset to a commit and the hashes of its files."""
    show_changes(hub.pin(options.pin), options.pin)
