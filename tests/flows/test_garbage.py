"""`seq2seq gc` keeps what is needed, and a deletion that is killed is completed by the next."""

from __future__ import annotations

import itertools
import os
import time
from pathlib import Path
from typing import Any

import pytest

from flows import checkout, garbage, locks, promote
from flows.__main__ import main
from seq2seq.common import object_cache
from seq2seq.common.errors import TransientError, UserError
from seq2seq.tracking import client, outbox, promotions, registry, retention, runs
from tests.support.gate import Killed, World, aliases

LATER = time.time() + 1000  # a time before which all was made
OLD = 40 * garbage.DAY


def versions(name: str = "m") -> list[str]:
    found = client.connect().search_model_versions(f"name = '{name}'")
    return sorted(str(v.version) for v in found)


def collected(before: float = LATER, *, delete: bool = True) -> list[str]:
    lines: list[str] = []
    garbage.collect("m", before, delete, lines.append)
    return lines


def failed_run() -> str:
    run_id = client.connect().create_run(runs.experiment("m")).info.run_id
    client.connect().log_text(run_id, "x" * 500, "note.txt")
    client.connect().set_terminated(run_id, "FAILED")
    return str(run_id)


@pytest.fixture
def five(world: World) -> World:
    """Versions 1 to 5: 3 is champion, 2 was before, 5 is the tree's, rejected."""
    for _ in range(3):
        world.make(1.0, 0.01)
        assert promote.promote().outcome == "promoted"
    for _ in range(2):
        world.make(-2.0, 0.01)
        assert promote.promote().outcome == "rejected"
    return world


@pytest.mark.slow
def test_needed_versions_stay_and_the_others_go_with_their_files(five: World) -> None:
    run_id = failed_run()
    running = client.connect().create_run(runs.experiment("m")).info.run_id
    shown = collected(delete=False)
    assert shown[:4] == [
        "stays: m version 2: alias previous",
        "stays: m version 3: alias champion",
        "stays: m version 5: alias challenger",
        "stays: DVC's cache, which is not this folder's own: other projects may use it",
    ]
    lines = "\n".join(shown)
    assert "would go: versions: 2, " in lines
    assert ": m version 1, m version 4" in lines
    assert f"would go: failed runs: 1, 500 B: run {run_id}" in lines
    assert versions() == ["1", "2", "3", "4", "5"]

    gone = [client.connect().get_model_version("m", number) for number in "14"]
    champion = registry.download_model("models:/m@champion")
    files = {path for path in Path("mlruns").rglob("*") if path.is_file()}
    collected()
    assert versions() == ["2", "3", "5"]
    assert aliases() == {"champion": "3", "previous": "2", "challenger": "5"}
    assert (champion / "note").read_text() == "m"
    left = {path for path in Path("mlruns").rglob("*") if path.is_file()}
    for version in gone:
        model = version.source.removeprefix("models:/")
        assert any(model in str(path) for path in files - left)
        assert not any(model in str(path) or version.run_id in str(path) for path in left)
        assert client.connect().get_run(version.run_id).info.lifecycle_stage == "deleted"
    assert client.connect().get_run(run_id).info.lifecycle_stage == "deleted"
    assert client.connect().get_run(running).info.lifecycle_stage == "active"
    assert promote.promote().outcome == "rejected"
    assert len(promotions.entries("m")) == 5  # the log stays whole
    assert not any(line.startswith("deletes") for line in collected())


@pytest.mark.slow
def test_recent_named_and_ancestral_versions_stay(five: World) -> None:
    scorer = client.connect().get_model_version("m", "1")
    child = client.connect().get_model_version("m", "3")
    for key, value in (("score.model", "m"), ("score.version", "1")):
        client.connect().log_param(child.run_id, key, value)
    shown = collected(delete=False)
    assert "stays: m version 1: scored the corpus of m version 3" in shown
    collected()
    assert versions() == ["1", "2", "3", "5"]
    assert client.connect().get_run(scorer.run_id).info.lifecycle_stage == "active"
    five.make()
    assert "stays: m version 6: the version of this folder" in collected(delete=False)
    shown = collected(time.time() - garbage.DAY, delete=False)
    assert "stays: m version 1: recent" in shown


@pytest.mark.slow
def test_the_start_of_a_training_stays(five: World) -> None:
    for child, parent in (("3", "4"), ("4", "1")):
        run_id = client.connect().get_model_version("m", child).run_id
        client.connect().log_param(run_id, "train.start_from.model", "m")
        client.connect().log_param(run_id, "train.start_from.version", parent)
    shown = collected(delete=False)
    assert "stays: m version 4: the start of m version 3" in shown
    assert "stays: m version 1: the start of m version 4" in shown


@pytest.mark.slow
def test_a_version_that_got_an_alias_meanwhile_stays(five: World, monkeypatch: pytest.MonkeyPatch) -> None:
    real = retention.plan

    def plan(*arguments: object) -> retention.Plan:
        made = real(*arguments)  # type: ignore[arg-type]
        registry.set_alias("m", "champion", "1")
        return made

    monkeypatch.setattr(retention, "plan", plan)
    collected()
    assert versions() == ["1", "2", "3", "5"]


@pytest.mark.slow
def test_nothing_is_deleted_without_the_registry_of_this_tree(
    five: World, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    checkpoint = old(Path(".checkpoints") / (40 * "a") / "state")
    five.restore("9")
    with pytest.raises(UserError, match="does not have m version 9 of this tree: nothing is deleted"):
        collected()
    five.restore("5")
    waiting = Path(".cache/mlflow/x/1.zip")
    waiting.parent.mkdir(parents=True)
    waiting.write_bytes(b"")
    with monkeypatch.context() as patch:
        patch.setattr(outbox, "deliver_all", lambda: None)
        with pytest.raises(UserError, match="that MLflow does not have yet"):
            collected()
    waiting.unlink()
    with monkeypatch.context() as patch:
        patch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
        with pytest.raises(TransientError):
            collected()
    assert (checkpoint.is_file(), versions()) == (True, ["1", "2", "3", "4", "5"])
    with locks.workspace():
        assert main(["gc", "--delete"]) == 2
    assert "another run holds" in capsys.readouterr().err
    assert main(["gc", "--older-than", "-1"]) == 2
    assert main(["gc"]) == 0
    assert "nothing is deleted yet: the same command with --delete does it" in capsys.readouterr().out
    assert checkpoint.is_file()
    assert main(["gc", "--delete"]) == 0
    assert not checkpoint.exists()


def old(path: Path) -> Path:
    """A file, last changed 40 days ago, as its folders are."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("x" * 100)
    for made in (path, *path.parents[: len(path.parts) - 1]):
        os.utime(made, (time.time() - OLD,) * 2)
    return path


@pytest.mark.slow
def test_old_checkpoints_and_clones_go_unless_a_run_works_there(world: World) -> None:
    world.make()
    promote.promote()
    stale, fresh = (Path(".checkpoints") / (40 * digit) / "state" for digit in "ab")
    mine = old(Path(".checkpoints/mine/notes"))
    dead, working = (old(checkout.CLONES / name / "dvc.lock") for name in ("dead", "working"))
    old(stale)
    fresh.parent.mkdir()
    fresh.write_text("x")
    before = time.time() - 30 * garbage.DAY
    with locks.workspace(checkout.CLONES / "working.lock"):
        shown = collected(before)
    assert "stays: .cache/retrain/working, its checkpoints and DVC's cache: a run works there" in shown
    assert [p.exists() for p in (stale, fresh, mine, dead, working)] == [False, True, True, False, True]


def test_objects_of_the_cache_that_nothing_names_go(tmp_path: Path) -> None:
    def make(name: str, text: str = "x") -> Path:
        path = tmp_path / name[:2] / name[2:]
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
        return path

    listed, single, lost = (digit * 32 for digit in "123")
    folder, gone = 32 * "4" + ".dir", 32 * "5" + ".dir"
    kept = [make(listed), make(single), make(folder, f'[{{"md5": "{listed}", "relpath": "a"}}]')]
    going = [make(lost), make(gone, f'[{{"md5": "{lost}", "relpath": "a"}}]')]
    make(32 * "6" + ".damaged")
    names = {single, folder}
    assert list(object_cache.unused(tmp_path, names, LATER)) == [going[1], going[0]]  # a list goes first
    assert list(object_cache.unused(tmp_path, names, 0)) == []
    kept[2].write_text("[")
    with pytest.raises(UserError, match="is damaged, so that its files are not known"):
        list(object_cache.unused(tmp_path, names, LATER))


@pytest.mark.slow
def test_killed_at_any_deletion_and_run_again(five: World, monkeypatch: pytest.MonkeyPatch) -> None:
    failed_run()
    mlflow_client = type(client.connect())
    for step in itertools.count():
        with monkeypatch.context() as patch:
            left = [None] * step  # deletions until the process dies

            def counted(real: Any, left: list[None] = left) -> Any:
                def act(*arguments: Any) -> Any:
                    if not left:
                        raise Killed
                    left.pop()
                    return real(*arguments)

                return act

            for name in ("delete_logged_model", "delete_run", "delete_model_version"):
                patch.setattr(mlflow_client, name, counted(getattr(mlflow_client, name)))
            try:
                collected()
            except Killed:
                assert (registry.download_model("models:/m@champion") / "note").is_file()
                assert set(versions()) >= {"2", "3", "5"}
            else:
                break
    assert step >= 2
    assert versions() == ["2", "3", "5"]
    assert not any(line.startswith("deletes") for line in collected())
