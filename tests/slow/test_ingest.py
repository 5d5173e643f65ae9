"""`ingest` in a process of its own."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.projects import ROOT


def test_the_stage_needs_no_torch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("x.tsv").write_text("".join(f"der Hund sieht Haus {n}\tx\n" for n in range(500)), "utf-8")
    Path("params.yaml").write_bytes((ROOT / "recipes/local.yaml").read_bytes())
    code = (
        "import sys; from seq2seq import __main__ as door; from seq2seq.common import recipes\n"
        "recipes.apply(None, ['ingest.path=x.tsv'])\n"
        "status = door.main(['ingest'])\n"
        "sys.exit(status or 'torch' in sys.modules or 'mlflow' in sys.modules)"
    )
    environment = {name: value for name, value in os.environ.items() if name != "USE_TORCH"}
    ended = subprocess.run(
        [sys.executable, "-c", code],
        env=environment | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert ended.stderr == ""
    assert not Path(".cache").exists()
