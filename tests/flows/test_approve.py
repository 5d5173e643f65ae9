"""Approval: a fit version waits, and a person makes it champion."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest

from flows import approve, promote, rollback
from flows.__main__ import main
from flows.verdict import to_serve
from seq2seq.common import recipes
from seq2seq.common.errors import UserError
from seq2seq.tracking import promotions, registry
from tests.support.gate import World, aliases, log, verdict_of


@pytest.fixture
def world(world: World) -> World:
    """Version 1 is champion; from now on a person has to approve."""
    world.make()
    assert promote.promote().outcome == "promoted"
    recipes.apply(None, ["promote.approval=required"])
    world.calls.clear()
    return world


@pytest.mark.slow
def test_a_fit_version_waits_until_somebody_approves_it(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    world.make(1.0, 0.01)
    assert main(["promote"]) == 6
    assert "it waits for approval" in capsys.readouterr().out
    assert aliases() == {"champion": "1", "waiting": "2", "challenger": "2"}
    assert verdict_of("2") == "waiting"
    assert main(["promote"]) == 6  # the same verdict, without loading a model
    assert len(world.evidence_calls()) == 1
    assert main(["history"]) == 0
    shown = capsys.readouterr().out
    assert "2 (champion 1)" in shown
    assert "version 2 waits for approval: `seq2seq approve 2 --name m --reason ...`" in shown

    _, *arguments = shlex.split(to_serve(promote.promote()))
    assert main(arguments) == 0
    assert capsys.readouterr().out.endswith("m@champion: version 1 -> 2\n")
    assert world.calls[-1] == ("seq2seq.gate.isolated", "models:/m/2")
    assert aliases() == {"champion": "2", "previous": "1", "challenger": "2"}
    assert log()[1:] == [("waiting", "1", "2", "done"), ("approved", "1", "2", "done")]
    entry = promotions.entries("m")[0]
    assert (entry.reason, entry.who.count("@"), entry.when[-6:]) == ("...", 1, "+00:00")
    assert promote.promote().outcome == "unchanged"
    assert rollback.rollback("m", None, "it is slow").version == "1"
    assert "was rolled back (it is slow)" in promote.promote().reason


@pytest.mark.slow
def test_the_first_version_waits_too(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(monkeypatch)
    recipes.apply(None, ["promote.approval=required"])
    world.make()
    assert promote.promote().outcome == "waiting"
    assert aliases() == {"waiting": "1", "challenger": "1"}
    assert approve.approve("m", "1", "the first").champion is None
    assert aliases() == {"champion": "1", "challenger": "1"}


@pytest.mark.slow
def test_versions_that_do_not_wait_are_refused(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    refused = [
        ("1", "version 1 is m@champion already"),
        ("9", "m has no version 9: the versions of m are: 1 (champion, challenger, promoted)"),
    ]
    world.make(-2.0, 0.01)
    assert promote.promote().outcome == "rejected"
    refused.append(("2", "does not wait for approval, no version does: it is rejected (version 2 fails 'no"))
    world.make(0.1, 0.5)
    assert promote.promote().outcome == "kept"
    refused.append(("3", "does not wait for approval, no version does: it is kept (version 3 is not shown"))
    world.make(1.0, 0.01)
    refused[1] = ("9", "m has no version 9: the versions of m are: 1 (champion, promoted), 2 (rejected), 3 (")
    refused.append(("4", "no version does: the gate has not judged it"))
    for number, message in refused:
        assert main(["approve", number, "--reason", "please"]) == 2
        assert message in capsys.readouterr().err
    assert main(["approve", "4", "--reason", " "]) == 2
    assert "the reason is empty" in capsys.readouterr().err
    assert aliases()["champion"] == "1"
    assert world.calls[-1][0] != "seq2seq.gate.isolated"


@pytest.mark.slow
def test_a_version_compared_with_another_champion_is_judged_again(world: World) -> None:
    world.make(1.0, 0.01)
    promote.promote()
    world.make(0.5, 0.01)
    assert promote.promote("the client wants it").outcome == "forced"
    # The forced one has taken its place as well: with it the waiting one is superseded.
    assert (verdict_of("2"), "waiting" in aliases()) == ("superseded", False)

    world.restore("2")
    assert promote.promote().outcome == "waiting"
    rollback.rollback("m", "1", "complaints")
    with pytest.raises(UserError, match="compared with champion 3, and now it is 1: `seq2seq promote`"):
        approve.approve("m", "2", "please")
    assert aliases()["champion"] == "1"
    assert promote.promote().outcome == "waiting"
    assert len(world.evidence_calls()) == 4
    assert approve.approve("m", "2", "better").champion == "1"


@pytest.mark.slow
def test_the_champion_that_changes_during_the_test_of_the_version_stays(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.make(1.0, 0.01)
    promote.promote()
    other = world.make(1.0, 0.01).version
    monkeypatch.setattr(rollback, "call", lambda *_: registry.set_alias("m", "champion", other))
    with pytest.raises(UserError, match="compared with champion 1, and now it is 3"):
        approve.approve("m", "2", "please")
    assert aliases()["champion"] == other


@pytest.mark.slow
def test_a_later_fit_version_waits_in_the_place_of_an_earlier(world: World) -> None:
    for _ in range(2):
        world.make(1.0, 0.01)
        assert promote.promote().outcome == "waiting"
    assert aliases() == {"champion": "1", "waiting": "3", "challenger": "3"}
    assert log()[1:] == [
        ("waiting", "1", "2", "done"),
        ("superseded", "1", "2", "done"),
        ("waiting", "1", "3", "done"),
    ]
    with pytest.raises(UserError, match="version 2 does not wait for approval, version 3 does: it is sup"):
        approve.approve("m", "2", "please")
    # One that is worse changes nothing; one that is promoted without approval does.
    world.make(-2.0, 0.01)
    assert promote.promote().outcome == "rejected"
    assert aliases()["waiting"] == "3"
    recipes.apply(None, ["promote.approval=none"])
    world.make(2.0, 0.01)
    assert promote.promote().outcome == "promoted"
    assert (verdict_of("3"), "waiting" in aliases()) == ("superseded", False)


@pytest.mark.slow
def test_a_waiting_version_that_no_longer_loads_is_not_approved(world: World) -> None:
    world.make(1.0, 0.01)
    promote.promote()
    world.failing = "seq2seq.gate.isolated"
    with pytest.raises(UserError, match=r"version 2 is not approved: seq2seq\.gate"):
        approve.approve("m", "2", "please")
    assert aliases()["champion"] == "1"
