"""Each test here works in a folder of its own, with the shipped parameters."""

import shutil

import pytest

from tests.support.projects import ROOT


@pytest.fixture(autouse=True)
def project(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shutil.copy(ROOT / "params.yaml", tmp_path)
