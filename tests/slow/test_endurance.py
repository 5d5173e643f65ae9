"""The endurance benchmark on a tiny model: a real server, a promotion, a rollback, no request lost."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks import endurance
from tests.support import serving


def test_a_short_run_counts_no_failed_request(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("MLFLOW_TRACKING_URI", "OMP_NUM_THREADS"):  # it sets both
        monkeypatch.setenv(name, "1")
    monkeypatch.chdir(tmp_path)
    model = serving.make_model(tmp_path / "work")
    (tmp_path / "texts").write_text("\n".join(serving.TEXTS), encoding="utf-8")
    options = ["--seconds", "12", "--poll", "0.2", "--clients", "2", "--processes", "1"]
    assert endurance.main(["--model", str(model), "--sentences", "texts", *options]) == 0
    printed = capsys.readouterr().out
    assert " 0 failed" in printed
    assert "promotion: version 2 served after" in printed
    assert "rollback: version 1 served after" in printed
    assert Path.cwd() == tmp_path
