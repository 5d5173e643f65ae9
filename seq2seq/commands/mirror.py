"""`seq2seq mirror`: copy the remote corpora that params.yaml names into a folder."""

from __future__ import annotations

import argparse
from pathlib import Path

from seq2seq.common import params
from seq2seq.data import mirror, pins


def run(options: argparse.Namespace) -> None:
    """Fill a mirror; prints each file with its size."""
    sources = params.load().ingest.sources.values()
    found = [Path(source.path) for source in sources if Path(source.path).suffix in (".yaml", ".yml")]
    remote = [path for path in found if pins.is_pin(path)]
    for path in remote:
        for place in pins.fill_mirror(path, options.folder):
            print(f"{place}  {place.stat().st_size:,} bytes")
    if remote:
        print(
            f"to read it: {mirror.MIRROR}={options.folder}; as a fallback only: {mirror.WHEN}={mirror.DOWN}"
        )
    else:
        print("params.yaml names no remote corpus: nothing to copy")
