"""Lines on a terminal and in a pipe."""

from __future__ import annotations

import io

import pytest

from flows import console
from seq2seq.common import progress
from seq2seq.common.progress import MARK


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_pipe_gets_plain_lines() -> None:
    out = io.StringIO()
    display = console.Console(out)
    display.print(MARK + "  train 120/1,200 updates, 9.1/s, 2 min left")
    display.stage_line("[3/6]", "tokenize", "ran", 2.13)
    display.stage_line("[4/6]", "train", "unchanged", 0)
    assert out.getvalue().splitlines() == [
        "  train 120/1,200 updates, 9.1/s, 2 min left",
        "[3/6] tokenize   ran            2.1 s",
        "[4/6] train      unchanged",
    ]


def test_a_terminal_gets_colours_and_progress_in_place(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    out = Terminal()
    display = console.Console(out)
    display.print(MARK + "  train 120/1,200 updates, 9.1/s, 2 min left")
    display.stage_line("[4/6]", "train", "ran", 2)
    assert "left\r\033[K[4/6] train      \033[32mran" in out.getvalue()
    monkeypatch.setenv("NO_COLOR", "1")
    plain = Terminal()
    console.Console(plain).stage_line("[4/6]", "train", "ran", 2)
    assert plain.getvalue() == "[4/6] train      ran            2.0 s\n"


@pytest.mark.parametrize("marked", [True, False])
def test_progress_in_other_words_is_recognized_by_its_mark(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], marked: bool
) -> None:
    monkeypatch.setenv(progress.MARKS, "1" if marked else "")
    monkeypatch.setattr(progress, "SECONDS_BETWEEN_LINES", 0.0)
    monkeypatch.setattr(progress.Progress, "line", lambda bar: f"done: {bar.done}")
    with progress.Progress("train", "updates") as bar:
        bar.advance()
        bar.advance()
    lines = capsys.readouterr().out.splitlines()
    assert lines == [MARK * marked + "done: 1", MARK * marked + "done: 2"]
    logged: list[str] = []
    out = Terminal()
    display = console.Console(out)
    display.log = logged.append
    for line in lines:
        display.print(line)
    assert logged == ["done: 1", "done: 2"]
    assert out.getvalue() == ("done: 1\r\033[Kdone: 2" if marked else "done: 1\ndone: 2\n")
