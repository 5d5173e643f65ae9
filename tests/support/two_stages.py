"""A DVC project of two shell stages, the first of which has run."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from pathlib import Path

DAG = """
stages:
  first:
    cmd: >-
      mkdir -p out/deep && cp input.txt out/a.txt && cp input.txt out/deep/é.txt && echo b > out/b.txt
      && echo one > one.txt
    deps: [input.txt]
    outs: [out, one.txt]
  second: {cmd: cat out/a.txt one.txt > two.txt, deps: [out, one.txt], outs: [two.txt]}
"""


def dvc(*arguments: str) -> None:
    env = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    subprocess.run([sys.executable, "-m", "dvc", "-q", *arguments], check=True, env=env)


def make(folder: Path) -> None:
    """The project without git, in this folder."""
    for name, text in {
        ".dvc/config": "[core]\n    no_scm = true\n    analytics = false\n",
        "dvc.yaml": DAG,
        "input.txt": "input" * 100,
    }.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text)
    with contextlib.chdir(folder):
        dvc("repro", "-s", "first")
