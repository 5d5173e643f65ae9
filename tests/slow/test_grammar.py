"""The built-in corpus in processes of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from seq2seq.data import grammar
from tests.support.projects import ROOT

DE_EN = ROOT / "corpora/grammar-de-en.yaml"


def test_same_arguments_same_splits_in_any_process() -> None:
    code = (
        "import hashlib, sys; from seq2seq.data.grammar_splits import write_splits;"
        "w = write_splits(sys.argv[1], {'train': 300, 'validation': 20, 'test': 20}, 5);"
        "print(hashlib.sha256(repr(w).encode()).hexdigest())"
    )
    digests = {
        subprocess.run(
            [sys.executable, "-c", code, str(DE_EN)],
            env={**os.environ, "PYTHONHASHSEED": hash_seed},
            cwd=Path(grammar.__file__).parents[1],
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for hash_seed in ("0", "1")
    }
    assert len(digests) == 1
