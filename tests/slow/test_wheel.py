"""The wheel holds every folder and data file: installed without `-e`, it runs a command and a stage."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

from tests.support import projects


def test_an_installed_wheel_runs_a_command_and_a_stage(tmp_path: Path) -> None:
    project = projects.make(tmp_path)
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet"]
    built, installed = tmp_path / "built", tmp_path / "installed"
    subprocess.run(
        [*pip, "wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", str(built), str(project)],
        check=True,
    )
    [wheel] = built.glob("seq2seq-*.whl")
    subprocess.run([*pip, "install", "--no-deps", "--target", str(installed), str(wheel)], check=True)
    for folder in ("seq2seq", "flows"):
        there = {p.relative_to(project / folder) for p in (project / folder).rglob("*") if p.is_file()}
        here = {path.relative_to(installed / folder) for path in (installed / folder).rglob("*")}
        assert {path for path in there if "__pycache__" not in path.parts} <= here
        shutil.rmtree(project / folder)
    own = {"PYTHONPATH": str(installed)}
    where = projects.call(project, "-P", "-c", "import seq2seq; print(seq2seq.__file__)", **own).stdout
    assert Path(where.strip()) == installed / "seq2seq/__init__.py"
    script = projects.call(project, "-P", str(installed / "bin/seq2seq"), "--help", **own).stdout
    assert "translate" in script
    projects.call(project, "-P", "-m", "seq2seq", "ingest", **own)
    assert (project / "data/raw/grammar/train.parquet").is_file()
