"""Other systems, each installed into a virtual environment of its own below .cache/bench.

Why: their requirements conflict with ours, and a repeated comparison must use the same versions.
"""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

from benchmarks.corpus import FOLDER

# It calls SetVocabulary, which newer releases of sentencepiece lack, and does not declare its dependency
# importlib_metadata.
JOEYNMT = ("joeynmt==2.3.0", "sentencepiece==0.2.0", "importlib_metadata")


def joeynmt() -> str:
    """JoeyNMT's interpreter, set up at the first call; raises CalledProcessError."""
    folder = FOLDER / "joeynmt"
    python = folder / "bin/python"
    # The same release of torch as ours; pip chooses its other requirements.
    wanted = [*JOEYNMT, f"torch=={version('torch').partition('+')[0]}"]
    stamp = folder / "installed.txt"
    if not stamp.is_file() or stamp.read_text().split() != wanted:
        subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
        log = Path(f"{folder}.log")
        with log.open("w") as file:
            subprocess.run([python, "-m", "pip", "install", *wanted], check=True, stdout=file, stderr=file)
        stamp.write_text(" ".join(wanted))
    return str(python)
