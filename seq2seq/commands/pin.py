"""`seq2seq pin`: write the commit of a hub dataset, or the URL of a catalogue, and file hashes into a pin."""

from __future__ import annotations

import argparse

from seq2seq.commands.printing import show_changes
from seq2seq.data import pins


def run(options: argparse.Namespace) -> None:
    """Resolve a pin to what is published now, with sizes and hashes."""
    show_changes(pins.pin(options.pin), options.pin)
