"""`seq2seq lineage` without a registry."""

from __future__ import annotations

from pathlib import Path

import pytest

from seq2seq.__main__ import main


def test_without_a_registry_none_is_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.chdir(tmp_path)
    assert main(["lineage", "models:/toy@champion"]) == 2
    assert list(tmp_path.iterdir()) == []
