"""Approval, when the process dies in between."""

from __future__ import annotations

import itertools

import pytest

from flows import approve, promote
from seq2seq.common import recipes
from tests.support.gate import Killed, World, aliases, kill_at, log, verdict_of


@pytest.mark.nightly
@pytest.mark.timeout(900)
def test_killed_at_any_write_and_run_again(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each round a new version waits in the place of another, and is approved, killed one write later."""
    world.make()
    promote.promote()
    recipes.apply(None, ["promote.approval=required"])
    champion = "1"
    for step in itertools.count():
        world.make(1.0, 0.01)
        promote.promote()
        version = world.make(1.0, 0.01).version
        with monkeypatch.context() as patch:
            done = kill_at(step, patch)
            try:
                promote.promote()
                approve.approve("m", version, "it is good")
            except Killed:
                pass
            else:
                break
        if promote.promote().outcome != "unchanged":
            assert aliases()["waiting"] == version, done
            assert aliases()["champion"] == champion
            approve.approve("m", version, "it is good")
        assert aliases() == {"champion": version, "previous": champion, "challenger": version}, done
        assert verdict_of(version) == "approved"
        assert verdict_of(str(int(version) - 1)) == "superseded"
        assert [e[0] for e in log() if e[2] == version and e[3] == "done"] == ["waiting", "approved"], done
        assert all(entry[3] != "open" for entry in log())
        champion = version
    assert step >= 20
