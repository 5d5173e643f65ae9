"""Backups: a manifest that names damage, and one machine's files restored, also in another folder."""

import json
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from infra.backup import files, manifest, servers
from infra.backup.__main__ import main
from infra.services import topology
from seq2seq.common import paths
from seq2seq.common.errors import UserError
from seq2seq.corrections import store
from seq2seq.tracking import registry
from tests.support.registered import register


@pytest.fixture
def kept(project: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A backup of the current folder, which has a registry, Prefect's database and DVC's cache."""
    version = register(project, "a", bleu="1")
    registry.set_alias("a", "champion", version.version)
    (project / ".prefect").mkdir()
    with closing(sqlite3.connect(project / ".prefect/prefect.db")) as database, database:
        database.execute("CREATE TABLE run (name TEXT)")
        database.execute("INSERT INTO run VALUES ('first')")
    store.add(f"Satz {project}/x", "sentence", "de", "en", "a/1", "", path=project / paths.CORRECTIONS)
    thing = project / ".dvc/cache/files/md5/ab/cdef"
    thing.parent.mkdir(parents=True)
    thing.write_text("result")
    thing.chmod(0o444)
    (project / ".dvc/config.local").write_text("a key of the remote")
    folder = tmp_path_factory.mktemp("kept") / "backup"
    files.back_up(folder, project, with_secrets=False)
    return folder


@pytest.fixture
def empty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("elsewhere")


@pytest.mark.slow
def test_files_are_restored_in_another_folder(kept, project, empty, monkeypatch):
    shutil.rmtree(project / "mlruns")
    files.restore(kept, empty, force=False)
    monkeypatch.chdir(empty)
    found = registry.download_model("models:/a@champion")
    assert found.is_relative_to(empty)
    assert (found / "note").read_text() == "a"
    with closing(sqlite3.connect(empty / ".prefect/prefect.db")) as database:
        assert database.execute("SELECT name FROM run").fetchall() == [("first",)]
    assert (empty / ".dvc/cache/files/md5/ab/cdef").read_text() == "result"
    assert not (empty / ".dvc/config.local").exists()
    assert [one.source for one in store.find(path=empty / paths.CORRECTIONS)] == [f"Satz {project}/x"]
    for path in (empty / "mlflow.db", *empty.glob("*/*.db")):
        path.unlink()
    for name in files.PLACES:
        shutil.rmtree(empty / name, ignore_errors=True)
    with pytest.raises(UserError, match=r"has corrections\.db: a backup is restored into a folder without"):
        files.restore(kept, empty, force=False)


def test_a_database_that_is_written_meanwhile_is_copied_in_one_state(project, tmp_path_factory):
    folder = tmp_path_factory.mktemp("kept") / "backup"
    (project / ".prefect").mkdir()
    with closing(sqlite3.connect(project / ".prefect/prefect.db")) as database:
        database.execute("PRAGMA journal_mode=WAL")
        database.execute("CREATE TABLE run (name TEXT)")
        database.execute("INSERT INTO run VALUES ('committed')")
        database.commit()
        database.execute("INSERT INTO run VALUES ('not committed')")
        assert (project / ".prefect/prefect.db-wal").stat().st_size
        files.back_up(folder, project, with_secrets=False)
    assert [path.name for path in (folder / "project/.prefect").iterdir()] == ["prefect.db"]
    with closing(sqlite3.connect(folder / "project/.prefect/prefect.db")) as copy:
        assert copy.execute("SELECT name FROM run").fetchall() == [("committed",)]


@pytest.mark.slow
def test_secrets_are_kept_on_request(kept, project, tmp_path_factory):
    folder = tmp_path_factory.mktemp("kept") / "with"
    files.back_up(folder, project, with_secrets=True)
    assert (folder / "project/.dvc/config.local").read_text() == "a key of the remote"
    assert folder.stat().st_mode & 0o777 == 0o700
    assert kept.stat().st_mode & 0o777 == 0o700


def _change_byte(folder: Path) -> str:
    path = folder / "project/mlflow.db"
    content = bytearray(path.read_bytes())
    content[5000] ^= 1
    path.write_bytes(content)
    return r"project/mlflow\.db has another sha256"


def _cut(folder: Path) -> str:
    path = folder / "project/mlflow.db"
    path.write_bytes(path.read_bytes()[:-1])
    return r"project/mlflow\.db has [\d,]+ bytes instead of"


def _remove(folder: Path) -> str:
    (folder / "project/.dvc/cache/files/md5/ab/cdef").unlink()
    return "md5/ab/cdef is missing"


def _edit_manifest(folder: Path) -> str:
    path = folder / manifest.FILE
    path.write_text(path.read_text().replace("mlflow.db", "mlflow.dc"))
    return r"manifest\.json is damaged: its sha256 differs from manifest\.json\.sha256"


def _no_manifest(folder: Path) -> str:
    (folder / manifest.FILE).unlink()
    return "is no complete backup"


@pytest.mark.parametrize("damage", [_change_byte, _cut, _remove, _edit_manifest, _no_manifest])
def test_a_damaged_backup_is_refused_by_name_before_anything_is_written(kept, empty, damage):
    message = damage(kept)
    with pytest.raises(UserError, match=f"{message}.*; nothing is restored"):
        files.restore(kept, empty, force=True)
    with pytest.raises(UserError, match=f"{message}.*; nothing is restored"):
        servers.restore(kept, topology.from_environment(), force=True)
    assert list(empty.iterdir()) == []


@pytest.mark.slow
def test_a_folder_with_content_is_refused_without_force(kept, project):
    with pytest.raises(
        UserError, match=r"has mlflow\.db, corrections\.db, mlruns, \.prefect, \.dvc/cache: .*FORCE=1"
    ):
        files.restore(kept, project, force=False)
    register(project, "later")
    files.restore(kept, project, force=True)
    with closing(sqlite3.connect(project / "mlflow.db")) as database:
        assert database.execute("SELECT name FROM registered_models").fetchall() == [("a",)]


def test_the_restored_kind_must_fit(kept):
    with pytest.raises(UserError, match="is a backup of files, not of servers"):
        servers.restore(kept, topology.from_environment(), force=False)


def test_an_older_mlflow_is_refused(kept):
    found = manifest.read(kept)
    manifest.check_versions(found)
    with pytest.raises(UserError, match=r"the backup is of mlflow .*, mlflow 2\.9\.1 is installed"):
        manifest.check_versions(found, {"mlflow": "2.9.1", "prefect": "99"}.__getitem__)


def test_an_interrupted_backup_leaves_nothing(tmp_path):
    def interrupted() -> None:
        with manifest.writing(tmp_path / "b", manifest.FILES) as draft:
            draft.path("x/y").write_text("begun")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_an_existing_folder_is_never_overwritten(kept, project):
    with pytest.raises(UserError, match="exists and is not empty"):
        files.back_up(kept, project, with_secrets=False)


def test_the_command_names_the_mistake(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("SERVICES_FOLDER", str(tmp_path / "set"))
    assert main(["restore", str(tmp_path / "nothing")]) == 2
    assert "is no complete backup" in capsys.readouterr().err
    (tmp_path / "set").mkdir()
    (tmp_path / "set/settings.json").write_text(json.dumps({"store": "rclone", "workers": 0, "offset": 900}))
    assert main(["make", str(tmp_path / "b")]) == 75
    assert "`make services` starts it" in capsys.readouterr().err
    assert not (tmp_path / "b").exists()


@pytest.mark.slow
def test_the_administrators_password_is_hashed_as_mlflow_checks_it():
    security = pytest.importorskip("werkzeug.security")
    assert security.check_password_hash(servers.password_hash("right"), "right")
    assert not security.check_password_hash(servers.password_hash("right"), "wrong")
