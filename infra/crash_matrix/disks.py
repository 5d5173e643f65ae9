"""Full disks: a file system of its own, in memory, for one folder of a run or of a server.

Why: a disk that is full for one folder alone shows which program handles it, and hurts nothing else.
A mount of a user namespace is visible to the processes of one command; one of this process to its children.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import subprocess
import sys
from pathlib import Path

from infra.crash_matrix import processes, project
from infra.crash_matrix.cells import FULL, FULL_PREFECT, Cell
from infra.crash_matrix.local import PATIENCE, Level, until
from infra.crash_matrix.result import Result

# The folder to fill, a scratch folder, the command.
SCRIPT = """
set -eu
target=$1; scratch=$2; shift 2
mkdir -p "$target"; cp -a "$target" "$scratch/before"
size=$(( $(find "$target" | wc -l) * 8 + $(du -sk --apparent-size "$target" | cut -f1) + 8 ))
mount -t tmpfs -o size=${size}k none "$target"
cp -a "$scratch/before/." "$target"
fill=$(df -k --output=avail "$target" | tail -1)
[ "$fill" -le 8 ] || head -c $(( (fill - 8) * 1024 )) /dev/zero > "$target/.filler"
set +e
"$@"; echo $? > "$scratch/first"
rm -f "$target/.filler"; mount -o remount,size=200m "$target"
date +%s.%N > "$scratch/began"
"$@" > "$scratch/second.log" 2>&1; status=$?
date +%s.%N > "$scratch/ended"
cp -a "$target" "$scratch/after"
exit $status
"""
ALONE = 0x00020000  # CLONE_NEWNS of Linux


def namespaces() -> bool:
    """Whether this user can mount a file system in a user namespace."""
    return _succeeds("unshare", "-Urm", "mount", "-t", "tmpfs", "none", "/mnt")


def fill(level: Level, cell: Cell, result: Result) -> None:
    """A local cell: a run with a full folder, then the same run with space."""
    if not namespaces():
        result.skipped = "no user namespaces here"
        return
    of_prefect = cell.fault == FULL_PREFECT
    target = ".prefect" if of_prefect else FULL[cell.place]
    shutil.rmtree(level.pauses)
    scratch = level.home / "full"
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir()
    command = ["unshare", "-Urm", "sh", "-c", SCRIPT, "sh", target, str(scratch)]
    command += [sys.executable, "-m", "flows", "run", *until(cell)]
    with level.log.open("w") as log:
        healed = subprocess.run(
            command,
            cwd=level.folder,
            env=level.variables(own_server=of_prefect),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            timeout=2 * PATIENCE,
            check=False,
        ).returncode
    if not (scratch / "ended").exists():
        raise processes.StuckError(f"the full disk was not made: {level.last_line()}")
    first = int((scratch / "first").read_text())
    result.healed = round(float((scratch / "ended").read_text()) - float((scratch / "began").read_text()), 1)
    text = level.log.read_text("utf-8", "replace")
    if not first or not any(words in text for words in ("full", "No space left", "free space on the disk")):
        result.problems.append(f"the run on the full disk ended with {first}: {level.last_line()}")
    result.state = f"run ended with {first}; {target} full: {level.last_line()}"
    if healed:
        result.problems.append(
            f"the next run ended with {healed}: {(scratch / 'second.log').read_text()[-200:]}"
        )
    project.restore(scratch / "after", level.folder / target)
    level.check(cell, result)


def separate() -> str:
    """Give this process, and those it starts from now on, mounts of their own; the reason if it may not."""
    if os.geteuid() != 0:
        return "a mount below a server needs root"
    if ctypes.CDLL(None, use_errno=True).unshare(ALONE):
        return f"no mounts of its own: {os.strerror(ctypes.get_errno())}"
    return "" if _succeeds("mount", "--make-rprivate", "/") else "the mounts cannot be made private"


class Small:
    """A folder on a small file system in memory, after `separate`; its files move there and back."""

    def __init__(self, folder: Path, size: str = "400m") -> None:
        self.folder, self.size, self.filler = folder, size, folder / ".filler"
        self.aside = folder.with_name(f"{folder.name}.aside")

    def __enter__(self) -> Small:
        subprocess.run(["cp", "-a", str(self.folder), str(self.aside)], check=True)
        now = self.folder.stat()
        options = f"size={self.size},uid={now.st_uid},gid={now.st_gid},mode={now.st_mode & 0o777:o}"
        subprocess.run(["mount", "-t", "tmpfs", "-o", options, "none", str(self.folder)], check=True)
        subprocess.run(["cp", "-a", f"{self.aside}/.", str(self.folder)], check=True)
        shutil.rmtree(self.aside)
        return self

    def __exit__(self, *error: object) -> None:
        """Only after the server has ended."""
        self.free()
        subprocess.run(["cp", "-a", str(self.folder), str(self.aside)], check=True)
        subprocess.run(["umount", str(self.folder)], check=True)
        shutil.rmtree(self.folder)
        self.aside.rename(self.folder)

    def fill(self) -> None:
        """Leave no space."""
        with self.filler.open("wb", buffering=0) as file:
            try:
                while True:
                    file.write(b"\0" * 65536)
            except OSError:
                return

    def free(self) -> None:
        """Give the space back."""
        self.filler.unlink(missing_ok=True)


def _succeeds(*command: str) -> bool:
    try:
        return subprocess.run(command, capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        return False
