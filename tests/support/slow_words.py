"""A translation of a file by worker processes, slow enough to be killed: `python -m ... INPUT OUTPUT`."""

import sys
import time
from pathlib import Path

from seq2seq.documents import bulk
from seq2seq.documents.records import Columns, Lines
from tests.support.words import Words


class SlowUpper(Words):
    """Capitals, after a while."""

    seconds = 0.2

    def __init__(self) -> None:
        super().__init__(str.upper)

    def __call__(self, texts, attend):
        time.sleep(self.seconds)
        return super().__call__(texts, attend)


class Upper(SlowUpper):
    """Capitals at once."""

    seconds = 0.0


def translate(path: Path, output: Path, load: type[SlowUpper]) -> bulk.Notes:
    """Translate lines, in shards of `bulk.SHARD`."""
    work = bulk.Work(path, Lines(Columns()), load, None, False, output.parent)
    return bulk.translate(work, output, [], "test")


if __name__ == "__main__":
    bulk.SHARD = 10
    translate(Path(sys.argv[1]), Path(sys.argv[2]), SlowUpper)
