"""Which Prefect server a flow uses."""

from __future__ import annotations

from pathlib import Path

import pytest

from flows import prefect_server
from seq2seq.common.errors import TransientError


def test_a_server_is_configured_by_variable_or_profile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PREFECT_API_URL", raising=False)
    monkeypatch.setenv("PREFECT_HOME", str(tmp_path))
    assert not prefect_server.is_configured()
    (tmp_path / "profiles.toml").touch()
    assert prefect_server.is_configured()
    monkeypatch.delenv("PREFECT_HOME")
    assert not prefect_server.is_configured()
    monkeypatch.setenv("PREFECT_API_URL", "http://127.0.0.1:1/api")
    assert prefect_server.is_configured()
    with pytest.raises(TransientError, match=r"127\.0\.0\.1:1/api does not answer .*unset PREFECT_API_URL"):
        prefect_server.check_answering()
