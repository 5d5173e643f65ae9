"""Parameters of a scheduled run."""

from __future__ import annotations

import pytest

from flows import retrain
from seq2seq.common import paths
from seq2seq.common.errors import UserError


def test_parameters_of_a_commit_that_cannot_be_used_name_the_commit(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    paths.PARAMS.write_text("format: 2\ningest: [\n")
    reason = r"at main, commit 0123456789ab: params\.yaml, line \d is not valid YAML"
    with pytest.raises(UserError, match=reason):
        retrain._params("main", "0123456789abcdef")


def test_a_run_from_a_stage_runs_it_and_those_after_it(toy):
    assert retrain._from(None) == ()
    assert retrain._from("second") == ("second", "third")
    with pytest.raises(UserError, match="from_stage='fourth': no stage; there are: first, second, third"):
        retrain._from("fourth")
