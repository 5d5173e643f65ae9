"""Copies of the checkpoints of an unfinished training in a store, which outlast this machine.

Why: a training whose machine is gone goes on elsewhere. The folder of a training is named by a hash of all
that its result depends on, so that another machine finds it if it has the same data, code and parameters.
SEQ2SEQ_CHECKPOINT_STORE names the store; without it there are no copies.
"""

from __future__ import annotations

import os
import shutil
import threading
import time
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from typing import Any

from seq2seq.common import stores
from seq2seq.common.errors import TransientError, UserError
from seq2seq.common.masking import mask

STORE = "SEQ2SEQ_CHECKPOINT_STORE"
ENDING = ".safetensors"
COPIED = "checkpoint.copied"  # a link beside a checkpoint, to copy from while the next one replaces it
KEPT = 2  # copies; the older one counts if the newer one is damaged
LAST = 20.0  # seconds at the end of a training for copies; a flow ends a stage that takes a minute to stop


class Copies:
    """The copies of one training, each named by the number of its update."""

    def __init__(self, address: str, training: str) -> None:
        self._raw = f"{address.rstrip('/')}/{training}"
        self.address = mask(self._raw)
        self._thread: threading.Thread | None = None
        self._left: tuple[Path, int] | None = None  # a checkpoint that came while another was copied
        self._failed = False

    @classmethod
    def configured(cls, training: str) -> Copies | None:
        """Those in the store of the environment; None without one."""
        address = os.environ.get(STORE, "")
        return cls(address, training) if address else None

    def updates(self) -> list[int]:
        """The numbers of the copies, the newest first.

        Raises UserError for a wrong address or login, TransientError for a store that does not answer.
        """
        system, root = self._place
        with stores.errors(self._raw):
            system.invalidate_cache()
            if not system.exists(root):
                return []
            names = [path.rpartition("/")[2] for path in system.ls(root, detail=False)]
        numbers = [name.removesuffix(ENDING) for name in names if name.endswith(ENDING)]
        return sorted((int(number) for number in numbers if number.isdecimal()), reverse=True)

    def fetch(self, update: int, path: Path) -> bool:
        """Write a copy to `path`; false if it is gone meanwhile. Raises as `updates`."""
        path.parent.mkdir(parents=True, exist_ok=True)
        with stores.errors(self._raw):
            try:
                self._place[0].get_file(self._path(update), str(path))
            except FileNotFoundError:
                return False
        return True

    def drop(self, update: int) -> None:
        """Remove one copy; raises as `updates`."""
        with stores.errors(self._raw), suppress(FileNotFoundError):
            self._place[0].rm_file(self._path(update))

    def put(self, path: Path, update: int) -> None:
        """Copy a checkpoint in the background; a training does not wait for a store, nor end by one.

        While one is copied, later ones are left out but for the last. A failure is printed, once in a row.
        """
        if self._thread is not None and self._thread.is_alive():
            self._left = path, update
            return
        self._left = None
        source = path.with_name(COPIED)
        try:
            source.unlink(missing_ok=True)  # of a training that was killed
            try:
                source.hardlink_to(path)
            except OSError:  # a file system without links
                shutil.copyfile(path, source)
        except OSError as error:
            self._warn(f"update {update:,} is not copied: {error}; the training goes on")
            return
        self._thread = threading.Thread(target=self._put, args=(source, update), daemon=True)
        self._thread.start()

    def finish(self) -> None:
        """Wait for the last checkpoint's copy, at most LAST seconds; one that is not made is printed."""
        deadline = time.monotonic() + LAST
        for _ in range(2):  # the one under way, and the last
            if self._thread is not None:
                self._thread.join(max(0.0, deadline - time.monotonic()))
                if self._thread.is_alive():
                    print(f"\nwarning: {self.address} has not taken a copy in {LAST:g} s", flush=True)
                    return
            if self._left is not None:
                self.put(*self._left)

    def remove(self) -> None:
        """Remove all copies of the training; raises as `updates`."""
        system, root = self._place
        with stores.errors(self._raw):
            if system.exists(root):
                system.rm(root, recursive=True)

    @cached_property
    def _place(self) -> tuple[Any, str]:
        return stores.connect(self._raw)

    def _put(self, source: Path, update: int) -> None:
        try:
            system, root = self._place
            with stores.errors(self._raw):
                if stores.is_local(system):  # a store shows an object when it is complete
                    system.makedirs(root, exist_ok=True)
                    system.put_file(str(source), f"{self._path(update)}.part")
                    system.mv(f"{self._path(update)}.part", self._path(update))
                else:
                    system.put_file(str(source), self._path(update))
            for old in self.updates()[KEPT:]:
                self.drop(old)
            self._failed = False
        except (UserError, TransientError, OSError) as error:
            self._warn(f"update {update:,} is not copied: {error}; the training goes on")
        finally:
            source.unlink(missing_ok=True)

    def _warn(self, message: str) -> None:
        if not self._failed:
            print(f"\nwarning: {message}", flush=True)
        self._failed = True

    def _path(self, update: int) -> str:
        return f"{self._place[1]}/{update:09}{ENDING}"


def remove(training: str) -> None:
    """Remove the copies of a finished training; if that fails, it is printed and they take space alone."""
    try:
        if copies := Copies.configured(training):
            copies.remove()
    except (UserError, TransientError) as error:
        print(f"warning: copies of checkpoints stay: {error}", flush=True)
