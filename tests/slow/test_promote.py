"""Promotion on a real registry over several rounds, also when the process dies in between."""

from __future__ import annotations

import itertools
import json
import shutil
from pathlib import Path

import pytest

from flows import locks, promote
from flows.__main__ import main
from seq2seq.common import paths, recipes
from seq2seq.common.errors import TransientError, UserError
from seq2seq.tracking import client, promotions, registry
from tests.support.evidence import changed
from tests.support.gate import Killed, World, aliases, kill_at, log, verdict_of


def test_a_verdict_stands_until_its_inputs_change(world: World) -> None:
    world.make()
    promote.promote()
    assert promote.promote().outcome == "unchanged"
    world.make(0.3, 0.4)
    first = promote.promote()
    assert first.outcome == "kept"
    asked = len(world.calls)
    again = promote.promote()
    assert (again.outcome, again.reason, again.criteria) == ("kept", first.reason, first.criteria)
    assert len(world.calls) == asked
    assert aliases() == {"champion": "1", "challenger": "2"}

    rounds = 0
    for change in (
        lambda: recipes.apply(None, ["promote.margin=0.1"]),
        lambda: Path("suite.yaml").write_text("another"),
        lambda: (paths.CORPUS / "test.parquet").write_bytes(b"other sentences"),
        lambda: paths.METRICS.write_text(json.dumps({"model_digest": "digest 2", "test": {}})),
        lambda: paths.SLICES.write_text("other slices"),
        lambda: paths.SEGMENTS.write_text("other answers"),
        lambda: (Path("seq2seq/gate").mkdir(parents=True), Path("seq2seq/gate/checks.py").write_text("")),
    ):
        change()
        promote.promote()
        rounds += 1
        assert len(world.evidence_calls()) == 2 + rounds
        promote.promote()
    assert len(world.evidence_calls()) == 2 + rounds
    assert world.evidence_calls()[-1] == ("models:/m/2", "models:/m/1")


def test_files_in_reports_are_about_the_version_of_the_tree(world: World) -> None:
    world.make()
    promote.promote()
    first = paths.VERDICT.read_text()
    world.make(-2.0, 0.01)
    promote.promote()
    assert "about 2" in paths.REPORT.read_text()
    world.restore("1")
    assert promote.promote().outcome == "unchanged"
    assert paths.VERDICT.read_text() == first
    assert json.loads(paths.EVIDENCE.read_text())["challenger"]["version"] == "1"
    assert "about 1" in paths.REPORT.read_text()

    other = json.loads(first)  # another registry's verdict on a version of that number
    paths.VERDICT.write_text(json.dumps({**other, "when": "yesterday"}))
    promote.promote()
    assert paths.VERDICT.read_text() == first

    paths.EVIDENCE.unlink()  # as after a kill during a new run of the evidence
    promote.promote()
    assert json.loads(paths.EVIDENCE.read_text())["challenger"]["version"] == "1"
    for damaged in ("", first[:40]):
        paths.VERDICT.write_text(damaged)
        promote.promote()
        assert paths.VERDICT.read_text() == first

    shutil.rmtree("mlruns")
    world.restore("2")
    promote.promote()  # lost files stay lost, and those of another version are removed as well
    assert not paths.EVIDENCE.exists()
    assert "about 2" in paths.REPORT.read_text()


def test_force_is_audited_and_has_its_limit(world: World) -> None:
    world.make()
    promote.promote()
    world.make(-2.0, 0.01)
    assert promote.promote().outcome == "rejected"
    forced = promote.promote("the old one swears")
    assert forced.outcome == "forced"
    assert forced.reason.startswith(
        "the old one swears; the policy decides rejected: version 2 fails 'no loss'"
    )
    assert any(c.ok is False for c in forced.criteria)
    assert aliases()["champion"] == "2"
    assert (log()[-1], verdict_of("2")) == (("forced", "1", "2", "done"), "forced")
    assert promotions.entries("m")[0].reason == forced.reason
    assert promote.promote().outcome == "unchanged"

    broken = {"problem": "its weights are gone", "scores": None, "answers_as_evaluated": False}
    world.make(challenger=changed(world.evidence, **broken)["challenger"] | broken, tests=None)
    with pytest.raises(UserError, match=r"not promoted by force either.*its weights are gone"):
        promote.promote("please")
    assert aliases()["champion"] == "2"


def test_a_version_that_does_not_load_is_tried_again(world: World) -> None:
    world.make()
    promote.promote()
    world.make(1.0, 0.01, champion__problem="no route to the files", champion__scores=None)
    first = promote.promote()
    promote.mark_notified(first)
    again = promote.promote()
    assert (first.outcome, again.outcome) == ("kept", "kept")
    assert (first.notified, again.notified) == (False, True)
    assert len(world.evidence_calls()) == 3
    assert len(log()) == 2  # there was nothing new to log
    world.evidence["champion"] |= {"problem": "", "scores": {"bleu": 30.0}}
    assert promote.promote().outcome == "promoted"


def test_a_champion_that_keeps_moving_is_given_up(world: World) -> None:
    world.make()
    world.make()
    world.make()
    numbers = itertools.cycle("12")
    world.during = lambda: registry.set_alias("m", "champion", next(numbers))
    with pytest.raises(TransientError, match="m@champion moved 3 times"):
        promote.promote()
    assert log() == []


@pytest.mark.parametrize("away_by", [TransientError("no answer"), OSError(28, "No space left on device")])
def test_a_report_that_fails_is_a_warning_and_a_server_that_fails_gets_it_later(
    world: World, monkeypatch: pytest.MonkeyPatch, away_by: Exception
) -> None:
    version = world.make()
    world.failing = "seq2seq.report.page"
    with monkeypatch.context() as away:
        away.setattr(promotions, "publish", lambda *_: (_ for _ in ()).throw(away_by))
        assert promote.promote().outcome == "promoted"
    assert not paths.REPORT.exists()
    world.failing = ""
    assert promote.promote().outcome == "unchanged"
    kept = {item.path for item in client.connect().list_artifacts(version.run_id, "promotion/m-1")}
    assert "promotion/m-1/report.html" in kept
    asked = len(world.calls)
    assert promote.promote().outcome == "unchanged"
    assert len(world.calls) == asked


@pytest.mark.parametrize("outcome", ["promoted", "rejected"])
def test_killed_at_any_write_and_run_again(
    world: World, outcome: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each round is a new challenger, killed one write later than the one before."""
    world.make()
    promote.promote()
    champion = "1"
    for step in itertools.count():
        version = world.make(1.0 if outcome == "promoted" else -2.0, 0.01).version
        with monkeypatch.context() as patch:
            done = kill_at(step, patch)
            try:
                promote.promote()
            except Killed:
                pass
            else:
                break
        moved = aliases()["champion"] == version
        verdict = promote.promote()
        assert verdict.outcome == ("unchanged" if moved else outcome), done
        assert verdict_of(version) == outcome
        if outcome == "promoted":
            assert aliases() == {"champion": version, "previous": champion, "challenger": version}
            champion = version
        mine = [entry for entry in log() if entry[2] == version and entry[3] == "done"]
        assert [entry[0] for entry in mine] == [outcome], done
        assert all(entry[3] != "open" for entry in log())
        assert registry.get_version("m", version).tags[promotions.PUBLISHED]
    assert len(done) == step >= (8 if outcome == "promoted" else 6)


def test_the_command_prints_the_verdict_and_failed_criteria(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    world.make()
    assert main(["promote"]) == 0
    assert "promote    promoted" in capsys.readouterr().out
    world.make(0.1, 0.5)
    assert main(["promote"]) == 3
    world.make(-2.0, 0.01, contaminated=3)
    assert main(["promote"]) == 4
    lines = capsys.readouterr().out.splitlines()
    assert "version 3 fails 'contamination': 3 of 1,000 sentences" in lines[-3]
    assert lines[-2:] == [
        "        contamination: 3 of 1,000 sentences of test are in train; required: at most 0",
        "        no loss: -2.00 BLEU, p = 0.010; required: no loss of BLEU with p < 0.05",
    ]
    for arguments in (["--force"], ["--reason", "x"], ["--force", "--reason", " "]):
        assert main(["promote", *arguments]) == 2
        assert "--force and --reason TEXT go together" in capsys.readouterr().err
    assert main(["promote", "--force", "--reason", "we need it"]) == 0
    assert "promote    forced" in capsys.readouterr().out
    with locks.workspace():
        assert main(["promote"]) == 2
    assert "another run holds" in capsys.readouterr().err
    world.make()
    world.failing = "seq2seq.gate.evidence"
    assert main(["promote"]) == 2
    assert "error: promote failed (user): seq2seq.gate.evidence does not work" in capsys.readouterr().err
