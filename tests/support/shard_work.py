"""Work for worker processes, which import it by name."""

import os
import signal
import sys
import time
from pathlib import Path

from seq2seq.common import shards
from seq2seq.common.errors import UserError


def square(number: int) -> tuple[int, int]:
    """The process, and a result."""
    time.sleep(0.05 if number % 3 == 0 else 0.0)
    return os.getpid(), number * number


def fail(number: int) -> int:
    if number == 3:
        raise UserError("shard 3 is wrong")
    return number


class DieOnce:
    """Ends its process at one shard, the first time; a file remembers that."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def __call__(self, number: int) -> int:
        """The number."""
        if number == 3 and not self.file.exists():
            self.file.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return number


def die(number: int) -> int:
    if number == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    return number


def sleep(folder: str) -> None:
    """Leave the pid in a folder, and stay."""
    Path(folder, str(os.getpid())).touch()
    time.sleep(600)


def main() -> None:
    """A parent of workers that sleep."""
    list(shards.over(sleep, [sys.argv[1]] * 8))


if __name__ == "__main__":
    main()
