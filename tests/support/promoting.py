"""`python -m tests.support.promoting HOST NUMBER...`: a host that promotes versions, one after the other.

It has a name and a promotion lock of its own, so that only the registry is shared, as between two machines.
"""

from __future__ import annotations

import random
import socket
import sys
import time
from pathlib import Path

from seq2seq.tracking import promotions, registry
from seq2seq.tracking.promotions import Entry

PAUSE = 0.3  # seconds between two tries, at most


def main(host: str, numbers: list[str]) -> None:
    socket.gethostname = lambda: host
    registry._lock_file = lambda address: Path(f"{host}.lock")
    lost = 0
    Path(f"{host}.ready").touch()
    while not Path("go").exists():
        time.sleep(0.01)
    for number in numbers:
        while not promote(number):
            lost += 1
            time.sleep(random.uniform(0, PAUSE))
    print(lost)


def promote(number: str) -> bool:
    """Make a version champion; False if the other host was first."""
    with registry.promotions():
        promotions.recover("m")
        champion = registry.version_by_alias("m", "champion")
        now = champion.version if champion else None
        entry = Entry("m", "promoted", now, number, "a trial", *promotions.now_and_here())
        try:
            promotions.apply(entry, {})
        except promotions.RaceError:
            return False
    return True


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
