"""Copies of the checkpoints of an unfinished training in a store, which outlast this machine.

Why: a training whose machine is gone goes on elsewhere. The folder of a training is named by a hash of all
that its result depends on, so that another machine finds it if it has the same data, code and parameters.
SEQ2SEQ_CHECKPOINT_STORE names the store; without it there are no copies.
"""

from __future__ import annotations

import os
import threading
from contextlib import suppress
from pathlib import Path

from seq2seq.common import stores
from seq2seq.common.errors import TransientError, UserError

STORE = "SEQ2SEQ_CHECKPOINT_STORE"
ENDING = ".safetensors"
KEPT = 2  # copies; the older one counts if the newer one is damaged
LAST = 60.0  # seconds at the end of a training for a copy that is under way


class Copies:
    """The copies of one training, each named by the number of its update."""

    def __init__(self, address: str, training: str) -> None:
        self.address = f"{address.rstrip('/')}/{training}"
        self._system, self._root = stores.connect(self.address)
        self._thread: threading.Thread | None = None
        self._left: tuple[Path, int] | None = None  # a checkpoint that came while another was copied
        self._failed = False

    @classmethod
    def configured(cls, training: str) -> Copies | None:
        """Those in the store of the environment; None without one. Raises UserError for a wrong address."""
        address = os.environ.get(STORE, "")
        return cls(address, training) if address else None

    def updates(self) -> list[int]:
        """The numbers of the copies, the newest first.

        Raises UserError for a refused login, TransientError for a store that does not answer.
        """
        with stores.errors(self.address):
            self._system.invalidate_cache()
            if not self._system.exists(self._root):
                return []
            names = [path.rpartition("/")[2] for path in self._system.ls(self._root, detail=False)]
        numbers = [name.removesuffix(ENDING) for name in names if name.endswith(ENDING)]
        return sorted((int(number) for number in numbers if number.isdecimal()), reverse=True)

    def fetch(self, update: int, path: Path) -> None:
        """Write a copy to `path`; raises as `updates`."""
        path.parent.mkdir(parents=True, exist_ok=True)
        with stores.errors(self.address):
            self._system.get_file(self._path(update), str(path))

    def put(self, path: Path, update: int) -> None:
        """Copy a checkpoint in the background; a training does not wait for a store, nor end by one.

        While one is copied, later ones are left out but for the last. A failure is printed, once in a row.
        """
        if self._thread is not None and self._thread.is_alive():
            self._left = path, update
            return
        self._left = None
        source = path.with_name(f"{path.name}.{update}")  # stays what it is when the next one replaces `path`
        source.unlink(missing_ok=True)
        source.hardlink_to(path)
        self._thread = threading.Thread(target=self._put, args=(source, update), daemon=True)
        self._thread.start()

    def finish(self) -> None:
        """Wait until the last checkpoint is copied, for some time."""
        if self._thread is not None:
            self._thread.join(LAST)
        if self._left is not None and self._thread is not None and not self._thread.is_alive():
            self.put(*self._left)
            self._thread.join(LAST)

    def remove(self) -> None:
        """Remove all copies of the training; raises as `updates`."""
        with stores.errors(self.address):
            if self._system.exists(self._root):
                self._system.rm(self._root, recursive=True)

    def _put(self, source: Path, update: int) -> None:
        try:
            with stores.errors(self.address):
                self._system.makedirs(self._root, exist_ok=True)
                self._system.put_file(str(source), self._path(update))
            for old in self.updates()[KEPT:]:
                with stores.errors(self.address), suppress(FileNotFoundError):
                    self._system.rm_file(self._path(old))
            self._failed = False
        except (UserError, TransientError) as error:
            if not self._failed:
                print(
                    f"\nwarning: update {update:,} is not copied: {error}; the training goes on", flush=True
                )
            self._failed = True
        finally:
            source.unlink(missing_ok=True)

    def _path(self, update: int) -> str:
        return f"{self._root}/{update:09}{ENDING}"


def remove(training: str) -> None:
    """Remove the copies of a finished training; if that fails, it is printed and they take space alone."""
    try:
        if copies := Copies.configured(training):
            copies.remove()
    except (UserError, TransientError) as error:
        print(f"warning: copies of checkpoints stay: {error}", flush=True)
