"""Rollback on a real registry."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from flows import promote, rollback
from seq2seq.common.errors import TransientError, UserError
from seq2seq.gate import isolated
from tests.support.gate import World, aliases, log, verdict_of


@pytest.fixture
def world(world: World) -> World:
    """Versions 1 and 2 were promoted, 2 is in the tree."""
    world.promote_two()
    return world


@pytest.mark.slow
def test_back_to_the_one_before_after_it_has_answered(world: World) -> None:
    entry = rollback.rollback("m", None, "it forgot numbers")
    assert world.calls == [("seq2seq.gate.isolated", "models:/m/1")]
    assert (entry.champion, entry.version) == ("2", "1")
    assert aliases() == {"champion": "1", "previous": "2", "challenger": "2"}
    assert log()[-1] == ("rolled back", "2", "1", "done")
    assert (verdict_of("1"), verdict_of("2")) == ("restored", "rolled back")
    verdict = promote.promote()  # a version taken back is not promoted again by itself
    assert verdict.outcome == "kept"
    assert "version 2 was rolled back (it forgot numbers), now version 1 is; `seq2seq" in verdict.reason
    assert rollback.rollback("m", None, "and forth").version == "2"
    assert promote.promote().outcome == "unchanged"


def test_without_a_way_back(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(monkeypatch)
    with pytest.raises(UserError, match="n has no alias previous, so name a version by --to: no such model"):
        rollback.rollback("n", None, "x")
    world.make()
    with pytest.raises(UserError, match=r"--to: the versions of m are: 1$"):
        rollback.rollback("m", None, "x")
    assert rollback.rollback("m", "1", "the alias was deleted").champion is None
    assert (aliases(), log()) == ({"champion": "1"}, [("rolled back", None, "1", "done")])
    monkeypatch.chdir(Path("reports"))
    with pytest.raises(UserError, match=r"no model is registered yet, .*mlflow\.db does not exist"):
        rollback.rollback("m", "1", "x")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("answers", "status", "line"),
    [
        (["eins", "ein"], 0, "models:/m/1 answers: ['eins', 'ein']"),
        (["eins", None], 2, "error: models:/m/1 refuses to translate: {'1': 'eins', 'a': None}"),
        (RuntimeError("models:/m/1 does not load or answer: gone"), 2, "error: models:/m/1 does not load"),
        (TransientError("models:/m/1 was killed"), 75, "error: models:/m/1 was killed"),
    ],
)
def test_a_version_is_run_on_two_texts(
    answers: Any, status: int, line: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def query(*_: Any) -> Any:
        if isinstance(answers, Exception):
            raise answers
        return answers

    monkeypatch.setattr(isolated, "query", query)
    monkeypatch.setattr("sys.argv", ["query", "models:/m/1"])
    assert isolated.main() == status
    assert "".join(capsys.readouterr()).startswith(line)
