"""The figures of the structure: rooms, arrows, floors and circles of a checkout."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.support.projects import ROOT

CODE = {
    "seq2seq/__init__.py": "",
    "seq2seq/train.py": "from seq2seq.data import corpus, tokens\nfrom seq2seq.common import paths\n",
    "seq2seq/data/__init__.py": "",
    "seq2seq/data/corpus.py": "from seq2seq.data import tokens\nfrom seq2seq.common import paths\n",
    "seq2seq/data/tokens.py": "",
    "seq2seq/common/__init__.py": "",
    "seq2seq/common/paths.py": "",
    "flows/__init__.py": "",
    "flows/run.py": "def run():\n    import seq2seq.train\n",
}


def figures(folder: Path) -> list[str]:
    command = [sys.executable, "-m", "benchmarks.structure", str(folder)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines()


def test_rooms_arrows_floors_and_circles(tmp_path: Path) -> None:
    for name, text in CODE.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    (tmp_path / "README.md").write_text("# A\n\nB\n")
    printed = [" ".join(line.split()) for line in figures(tmp_path)]
    assert printed[:3] == [
        "seq2seq 3 rooms, 3 arrows, no circle, 3 floors",
        "flows 1 rooms, 0 arrows, no circle, 1 floors",
        "seq2seq and flows 4 rooms, 4 arrows, no circle, 4 floors",
    ]
    assert {"4 lines of seq2seq/", "2 lines of flows/", "3 lines of README.md"} <= set(printed)

    (tmp_path / "seq2seq/common/paths.py").write_text("import seq2seq.data.tokens\n")
    assert "a circle: " in figures(tmp_path)[0]
    assert {"seq2seq.common", "seq2seq.data"} <= set(figures(tmp_path)[0].replace("->", " ").split())
