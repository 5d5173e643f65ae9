"""A rollback that meets promotions, kills and lost answers."""

from __future__ import annotations

import itertools
import os
import shlex
import shutil
import threading
from pathlib import Path
from typing import Any

import pytest

from flows import promote, rollback
from flows.__main__ import main
from flows.verdict import to_serve
from seq2seq.common import paths
from seq2seq.common.errors import TransientError, UserError
from seq2seq.tracking import client, promotions, registry
from tests.support.gate import Killed, World, aliases, kill_at, log, verdict_of
from tests.support.registered import register


@pytest.fixture
def world(world: World) -> World:
    """Versions 1 and 2 were promoted, 2 is in the tree."""
    world.promote_two()
    return world


def test_a_rejected_version_serves_if_a_user_decides_so(world: World) -> None:
    world.make(-2.0, 0.01)
    verdict = promote.promote()
    assert verdict.outcome == "rejected"
    module, *arguments = shlex.split(to_serve(verdict))
    assert module == "seq2seq"
    assert main(arguments) == 0
    assert aliases() == {"champion": "3", "previous": "2", "challenger": "3"}
    assert promote.promote().outcome == "unchanged"


def test_it_needs_nothing_of_a_workspace(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    world.make(-2.0, 0.01)
    promote.promote()
    for path in (paths.REPORTS, Path("data"), paths.PARAMS):
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    assert main(["rollback", "--reason", "x"]) == 2
    assert "say which model: --name NAME" in capsys.readouterr().err
    assert main(["rollback", "--name", "m", "--to", "1", "--reason", "x"]) == 0
    assert capsys.readouterr().out == "m@champion: version 2 -> 1\n"


@pytest.mark.parametrize("lost", ["set_terminated", "create_run", "set_registered_model_alias"])
def test_a_rollback_repeated_after_a_lost_answer_does_not_go_forward(
    world: World, monkeypatch: pytest.MonkeyPatch, lost: str
) -> None:
    """The server carries the call out, and its answer is lost."""
    mlflow_client = type(client.connect())
    real = getattr(mlflow_client, lost)
    with monkeypatch.context() as patch:

        def deaf(*arguments: Any, **options: Any) -> Any:
            real(*arguments, **options)
            raise TransientError("no answer")

        patch.setattr(mlflow_client, lost, deaf)
        if lost == "create_run":  # nothing has moved
            with pytest.raises(TransientError, match="no answer"):
                rollback.rollback("m", None, "bad")
            assert aliases()["champion"] == "2"
        else:
            assert rollback.rollback("m", "", "bad").version == "1"
            assert aliases()["champion"] == "1"
    if lost == "create_run":
        assert rollback.rollback("m", None, "bad").version == "1"
    elif lost == "set_registered_model_alias":  # half done, and completed by the next, however it is called
        assert rollback.rollback("m", "", "bad").version == "1"
    assert promote.promote().outcome == "kept"
    assert aliases() == {"champion": "1", "previous": "2", "challenger": "2"}


def test_a_promotion_slips_in_while_the_older_version_is_tried(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = world._call

    def slow(*arguments: Any) -> None:
        real(*arguments)
        world.make(1.0, 0.01)
        assert promote.promote().outcome == "promoted"

    monkeypatch.setattr(rollback, "call", slow)
    with pytest.raises(UserError, match=r"changed from version 2 to 3 while version 1 was tried: .*--to"):
        rollback.rollback("m", None, "x")
    assert aliases() == {"champion": "3", "previous": "2", "challenger": "3"}
    assert rollback.rollback("m", "1", "this one it is").champion == "4"  # an explicit version is taken


@pytest.mark.parametrize("delta", [1.0, -2.0])
def test_a_rollback_while_a_challenger_is_judged(world: World, delta: float) -> None:
    """Two at once: the challenger is judged again, against the restored champion."""
    world.make(delta, 0.01)
    gathering, going_on, verdicts = threading.Event(), threading.Event(), []

    def wait() -> None:
        gathering.set()
        assert going_on.wait(30)

    world.during = wait
    promotion = threading.Thread(target=lambda: verdicts.append(promote.promote()))
    promotion.start()
    assert gathering.wait(30)
    rollback.rollback("m", None, "now")  # does not wait for the promotion: it holds no lock
    going_on.set()
    promotion.join(60)
    assert [arguments[-1] for arguments in world.evidence_calls()] == ["models:/m/2", "models:/m/1"]
    [verdict] = verdicts
    assert verdict.champion == "1"
    outcome = "promoted" if delta > 0 else "rejected"
    assert log()[2:] == [("rolled back", "2", "1", "done"), (outcome, "1", "3", "done")]
    expected = {"champion": "3", "previous": "1"} if delta > 0 else {"champion": "1", "previous": "2"}
    assert aliases() == {**expected, "challenger": "3"}


def test_the_challenger_itself_is_rolled_back_meanwhile(world: World) -> None:
    """Somebody promotes it faster, somebody else takes it back: the slower promotion must not undo that."""
    world.make(1.0, 0.01)

    def meanwhile() -> None:
        world.during = lambda: None
        assert promote.promote().outcome == "promoted"
        rollback.rollback("m", "2", "it is bad")

    world.during = meanwhile
    assert promote.promote().outcome == "kept"
    assert aliases() == {"champion": "2", "previous": "3", "challenger": "3"}
    assert [outcome for outcome, *_ in log()[2:]] == ["promoted", "rolled back"]


def test_killed_at_any_write_and_run_again(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    target = "1"
    for step in itertools.count():
        left = aliases()["champion"]
        with monkeypatch.context() as patch:
            done = kill_at(step, patch)
            try:
                rollback.rollback("m", target, "x")
            except Killed:
                pass
            else:
                break
        if aliases()["champion"] == left:
            rollback.rollback("m", target, "again")
        promote.promote()  # anybody brings it to an end
        assert {**aliases(), "challenger": ""} == {"champion": target, "previous": left, "challenger": ""}
        assert (verdict_of(target), verdict_of(left)) == ("restored", "rolled back")
        ended = [entry for entry in log() if entry[3] == "done"]
        assert len(ended) == 3 + step, done
        assert all(entry[3] != "open" for entry in log())
        target = left
    assert len(done) == step == 9


@pytest.mark.parametrize("step", [0, 2, 4, 6, 8])
def test_killed_and_the_same_command_again(world: World, monkeypatch: pytest.MonkeyPatch, step: int) -> None:
    with monkeypatch.context() as patch:
        kill_at(step, patch)
        with pytest.raises(Killed):
            rollback.rollback("m", None, "x")
    entry = rollback.rollback("m", None, "x")  # `previous` may by now be the version that was left
    assert (entry.champion, entry.version) == ("2", "1")
    assert {**aliases(), "challenger": ""} == {"champion": "1", "previous": "2", "challenger": ""}
    assert (verdict_of("1"), verdict_of("2")) == ("restored", "rolled back")


def test_a_version_that_is_gone_stops_nobody(world: World) -> None:
    """Half a rollback is left, and somebody has deleted the version since."""
    gone = register(Path.cwd(), "m")
    registry.set_alias("m", "champion", gone.version)
    entry = promotions.Entry("m", promotions.ROLLED_BACK, gone.version, "1", "x", *promotions.now_and_here())
    with pytest.MonkeyPatch.context() as patch:
        kill_at(3, patch)
        with pytest.raises(Killed):
            promotions.apply(entry, {})
    client.connect().delete_model_version("m", gone.version)
    assert promote.promote().outcome == "kept"
    assert log()[-1] == ("rolled back", "3", "1", "done")
    assert aliases()["champion"] == "1"


@pytest.mark.parametrize(
    ("to", "failing", "message"),
    [
        (
            "7",
            "",
            r"m has no version 7: the versions of m are: 1 \(previous, promoted\), 2 \(challenger, cham",
        ),
        ("2", "", "version 2 is m@champion already: name another by --to"),
        (
            "1",
            "seq2seq.gate.isolated",
            "m: version 1 is not gone back to: seq2seq.gate.isolated does not work",
        ),
    ],
)
def test_refused(
    world: World, to: str, failing: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    world.failing = failing
    with pytest.raises(UserError, match=message):
        rollback.rollback("m", to, "x")
    assert main(["rollback", "--to", to, "--reason", "x"]) == 2
    assert aliases()["champion"] == "2"
    assert len(log()) == 2
    for reason in (" ", "\udce4", "x" * 1001):
        assert main(["rollback", "--to", to, "--reason", reason]) == 2


def test_a_server_that_dies_in_the_midst_leaves_word_how_to_go_on(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def dead(*arguments: Any) -> None:
        monkeypatch.setattr("seq2seq.tracking.registry.version_by_alias", dead)
        raise TransientError("no answer")

    monkeypatch.setattr(promotions, "apply", dead)
    with pytest.raises(UserError, match=r"no answer; whether m@champion has moved .*history m`.*--to 1"):
        rollback.rollback("m", None, "bad")


def test_a_rolled_back_version_stays_so_without_a_champion(world: World) -> None:
    rollback.rollback("m", None, "it forgot numbers")
    client.connect().delete_registered_model_alias("m", "champion")
    verdict = promote.promote()
    assert verdict.outcome == "kept"
    assert "version 2 was rolled back (it forgot numbers), and there is no champion; `se" in verdict.reason
    assert "champion" not in aliases()


def test_the_log_as_a_table(world: World) -> None:
    rollback.rollback("m", None, "numbers")
    world.make(-2.0, 0.01)
    promote.promote()
    head, *rows = promotions.table(promotions.entries("m"))
    assert head.split() == ["when", "outcome", "version", "who", "reason"]
    assert "  rejected     3 (champion 1)  " in rows[0]
    assert "  rolled back  2 -> 1          " in rows[1]
    assert "  promoted     none -> 1       " in rows[3]
    assert rows[1].endswith("  numbers")
    assert all(os.uname().nodename in row for row in rows)
