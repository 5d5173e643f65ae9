"""An audit names faults and the packages without an answer; licences come from the packages' metadata."""

import json
from email.message import Message
from types import SimpleNamespace
from typing import Any

import pytest

from infra import supply

FAULT = {"id": "PYSEC-1", "aliases": ["CVE-1"], "fix_versions": ["1.1"], "description": "x"}
SOUND = {"name": "a", "version": "2.0", "vulns": []}
FAULTY = {"name": "b", "version": "1.0", "vulns": [FAULT]}
SKIPPED = {"name": "c", "skip_reason": "not found"}


@pytest.mark.parametrize(
    ("entries", "status", "lines"),
    [
        ([SOUND], 0, ["0 known faults in 1 of 1 packages"]),
        ([SOUND, FAULTY], 1, ["b 1.0: PYSEC-1, CVE-1; fixed in 1.1", "1 known faults in 2 of 2 packages"]),
        ([SOUND, SKIPPED], 0, ["in 1 of 2 packages", "no answer about 1 packages: c."]),
        ([SKIPPED, SKIPPED], 75, ["in 0 of 2 packages", "no answer about 2 packages: c, c."]),
    ],
)
def test_an_audit_that_could_not_ask_is_not_clean(tmp_path, capsys, entries, status, lines):
    report = tmp_path / "report.json"
    report.write_text(json.dumps({"dependencies": entries}))
    assert supply.audit(report, 3) == status
    shown = "".join(capsys.readouterr())
    for line in lines:
        assert line in shown


@pytest.mark.parametrize("content", [None, "", "{}"])
def test_without_a_report_nothing_was_asked(tmp_path, capsys, content):
    report = tmp_path / "report.json"
    if content is not None:
        report.write_text(content)
    assert supply.audit(report, 3) == 75
    assert "none of 3 packages was looked up" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("fields", "licence"),
    [
        ([("License-Expression", "MIT"), ("License", "long text")], "MIT"),
        ([("Classifier", "License :: OSI Approved :: BSD License"), ("License", "x")], "BSD License"),
        ([("Classifier", "License :: OSI Approved"), ("License", "Apache-2.0\nwhole text")], "Apache-2.0"),
        ([("Classifier", "Topic :: x")], "unknown"),
    ],
)
def test_a_licence_is_the_most_precise_that_is_given(fields, licence):
    package: Any = SimpleNamespace(metadata=Message())
    for name, value in fields:
        package.metadata[name] = value
    assert supply.licence_of(package) == licence


@pytest.mark.slow
def test_the_licences_of_the_lock_are_listed(capsys):
    assert supply.main(["licences"]) == 0
    shown = capsys.readouterr().out
    assert "torch " in shown
    assert "packages of constraints.txt are not installed here" in shown
    assert len(supply.names(supply.LOCK)) > 200
