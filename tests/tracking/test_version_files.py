"""Files of a version that differ from the recorded digests are not loaded."""

import shutil

import pytest

from seq2seq.common.errors import UserError
from seq2seq.gate import isolated
from seq2seq.tracking import client, registry, version_files
from tests.support.registered import register


def recorded(project, name="a") -> registry.Version:
    """A version with the digests that `register` records."""
    made = register(project, name)
    folder = registry.download_model(made.uri)
    digests = {
        version_files.ALL: version_files.digest(folder.parents[1]),
        version_files.MODEL: version_files.digest(folder),
    }
    registry.tag_version(name, made.version, digests)
    return registry.get_version(name, made.version)


def test_names_contents_and_additional_files_change_the_digest(tmp_path):
    (tmp_path / "a/b").mkdir(parents=True)
    (tmp_path / "a/b/c").write_text("1")
    before = version_files.digest(tmp_path)
    (tmp_path / "a/__pycache__").mkdir()
    (tmp_path / "a/__pycache__/c.pyc").write_text("compiled")
    (tmp_path / version_files.META).write_text("by MLflow")
    assert version_files.digest(tmp_path) == before
    (tmp_path / "a/c.pyc").write_text("compiled")  # Python imports it without a source
    assert version_files.digest(tmp_path) != before
    (tmp_path / "a/c.pyc").unlink()
    (tmp_path / "a/b/c").rename(tmp_path / "a/b/d")
    assert version_files.digest(tmp_path) != before
    (tmp_path / "a/b/d").rename(tmp_path / "a/b/c")
    (tmp_path / "a/b/c").write_text("2")
    assert version_files.digest(tmp_path) != before


def test_a_changed_model_is_not_translated_with(project):
    version = recorded(project)
    folder = registry.download_model(version.uri)
    (folder / "note").write_text("another")
    with pytest.raises(UserError, match=r"models:/a/1: its files in .* are not those that were registered"):
        registry.download_model("models:/a/1")
    registry.set_alias("a", "champion", "1")
    with pytest.raises(UserError, match="are not those that were registered"):
        registry.download_model("models:/a@champion")


def test_changed_code_is_not_loaded(project, monkeypatch):
    version = recorded(project)
    root = registry.place("a", version.version)
    assert registry.recorded_digest(version.uri) == version_files.digest(root)
    (root / "code.py").write_text("print('executed')")
    monkeypatch.setattr("subprocess.run", None)  # would fail if a process were started
    with pytest.raises(RuntimeError, match=r"models:/a/1 does not load or answer: .* not those that were"):
        isolated.query(version.uri, client.uri(), ["a"])


def test_a_version_without_a_digest_has_none_to_compare(project):
    version = register(project, "a")
    assert registry.recorded_digest(version.uri) is None
    assert registry.recorded_digest("models:/m-0123") is None
    assert registry.download_model(version.uri).is_dir()


def test_a_changed_copy_of_a_servers_files_is_removed(project, monkeypatch):
    version = recorded(project)
    copy = registry.DOWNLOADS / "copy"
    shutil.copytree(registry.download_model(version.uri), copy)
    (copy / "note").write_text("another")
    monkeypatch.setattr(registry, "_beside_the_project", lambda *_: (copy, version.tags))
    with pytest.raises(UserError, match="are not those that were registered"):
        registry.download_model(version.uri)
    assert not copy.exists()
