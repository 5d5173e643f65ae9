"""Files of records by processes and by Ray: one result, which outlasts a kill."""

import os
import signal
import subprocess
import sys

import pytest

from seq2seq.documents import bulk
from tests.support.projects import ROOT
from tests.support.slow_words import Upper, translate
from tests.support.waiting import ended, wait_for

LINES = 200
DATA = "".join(f"- zeile {number}\n" for number in range(LINES)).encode()
DATA = DATA.replace(b"zeile 77\n", b"zeile \xff\n")


@pytest.fixture
def file(tmp_path, monkeypatch):
    monkeypatch.setattr(bulk, "SHARD", 10)
    (tmp_path / "in.txt").write_bytes(DATA)
    return tmp_path / "in.txt"


@pytest.mark.parametrize("workers", ["1", "2"])
def test_any_number_of_processes_gives_the_same_bytes(file, monkeypatch, workers):
    monkeypatch.setenv("SEQ2SEQ_WORKERS", workers)
    notes = translate(file, file.with_name("out"), Upper)
    assert file.with_name("out").read_bytes() == DATA.upper().replace(b"- ZEILE \xff", b"")
    assert notes.records == LINES
    assert [problem[:8] for problem in notes.problems] == ["line 78:"]


def test_a_killed_translation_is_continued(file, capsys, monkeypatch):
    output = file.with_name("out")
    child = subprocess.Popen(
        [sys.executable, "-m", "tests.support.slow_words", str(file), str(output)],
        cwd=ROOT,
        env={**os.environ, "SEQ2SEQ_WORKERS": "2"},
        stderr=subprocess.DEVNULL,
    )
    wait_for(lambda: len(list(file.parent.glob("out.parts/*/??????/notes.json"))) >= 3, 120)
    child.send_signal(signal.SIGKILL)
    child.wait()
    wait_for(lambda: ended(child.pid))
    assert not output.exists()
    monkeypatch.setenv("SEQ2SEQ_WORKERS", "1")
    notes = translate(file, output, Upper)
    assert "of 20 shards are finished already" in capsys.readouterr().err
    assert output.read_bytes() == DATA.upper().replace(b"- ZEILE \xff", b"")
    assert [problem[:8] for problem in notes.problems] == ["line 78:"]  # also of a finished shard
    assert sorted(path.name for path in file.parent.iterdir()) == ["in.txt", "out"]


def test_ray_gives_the_same_bytes(file, monkeypatch):
    pytest.importorskip("ray", reason="the extra `ray` is not installed")
    monkeypatch.setenv("SEQ2SEQ_ENGINE", "ray")
    monkeypatch.setenv("SEQ2SEQ_WORKERS", "2")
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.chdir(ROOT)
    translate(file, file.with_name("out"), Upper)
    assert file.with_name("out").read_bytes() == DATA.upper().replace(b"- ZEILE \xff", b"")
