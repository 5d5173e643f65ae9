"""A DVC project of three stages that do what a file orders, and damage to files."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from flows import dvc_runner

DAG = """
stages:
  first: {cmd: exec python stage.py first, params: [first], deps: [input.txt], outs: [one.txt]}
  second: {cmd: exec python stage.py second, deps: [one.txt, stage.py], outs: [two.txt]}
  third: {cmd: exec python stage.py third, deps: [two.txt], outs: [three.txt]}
"""
STAGE = """
import json, os, signal, sys, time
from collections.abc import Iterator
from pathlib import Path
name = sys.argv[1]
out = {"first": "one", "second": "two", "third": "three"}[name] + ".txt"
order = Path(name + ".do").read_text().split() if Path(name + ".do").exists() else []
print(name + ": works", flush=True)
match order:
    case ["sleep"]:
        Path("started").write_text(str(os.getpid()))
        try:
            time.sleep(60)
        except KeyboardInterrupt:
            print(name + ": saved", flush=True)
            sys.exit(130)
    case ["record"]:
        Path(os.environ["SEQ2SEQ_OUTCOME_FILE"]).write_text(json.dumps({"stage": name, "status": "ran"}))
    case ["die"]:
        os.kill(os.getpid(), signal.SIGKILL)
    case ["once", kind]:
        Path(name + ".do").unlink()
        order = ["fail", kind]
    case ["damaged", again]:  # as a stage of ours that finds its input damaged
        Path(name + ".do").unlink()
        Path("one.txt").unlink()
        for path in Path(".dvc/cache/files").rglob("*"):
            if path.is_file():
                path.unlink()
        record = {"status": "failed", "class": "damaged", "message": "one.txt is damaged", "again": [again]}
        Path(os.environ["SEQ2SEQ_OUTCOME_FILE"]).write_text(json.dumps(record))
        sys.exit(1)
if order[:1] == ["fail"]:
    record = {"stage": name, "status": "failed", "class": order[1], "message": "it did not work"}
    Path(os.environ["SEQ2SEQ_OUTCOME_FILE"]).write_text(json.dumps(record))
    print("error: " + name + ": it did not work", file=sys.stderr)
    sys.exit(1)
source = {"first": "input", "second": "one", "third": "two"}[name] + ".txt"
Path(out).write_text(Path(source).read_text() + name)
"""


def make(folder: Path) -> None:
    """The project without git, in this folder."""
    for name, text in {
        ".dvc/config": "[core]\n    no_scm = true\n    analytics = false\n",
        "dvc.yaml": DAG,
        "stage.py": STAGE,
        "params.yaml": "first:\n  size: 1\n  deep: {er: null}\n",
        "input.txt": "input ",
    }.items():
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)


def run_stage(name: str, **options: Any) -> tuple[str, list[str]]:
    printed: list[str] = []
    return dvc_runner.run(name, printed.append, **options).outcome, printed


def with_python() -> dict[str, str]:
    """`python` of a dvc.yaml is PATH's; the runner sets it itself."""
    return {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}


def flip(path: Path) -> None:
    """One bit, as a failing disk does it: the mode stays."""
    whole = bytearray(path.read_bytes())
    whole[len(whole) // 2] ^= 1
    overwrite(path, bytes(whole))


def truncate(path: Path) -> None:
    overwrite(path, path.read_bytes()[: path.stat().st_size // 2])


def overwrite(path: Path, content: bytes) -> None:
    mode = path.stat().st_mode
    path.chmod(0o644)
    path.write_bytes(content)
    path.chmod(mode)


def cached(path: Path) -> Path:
    """The object of DVC's cache that holds a file."""
    md5 = hashlib.md5(path.read_bytes()).hexdigest()
    return Path(".dvc/cache/files/md5", md5[:2], md5[2:])


def dvc(*arguments: str) -> None:
    subprocess.run(["dvc", "-q", *arguments], check=True, env=with_python())
