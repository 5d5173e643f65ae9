"""The clone of a schedule, with a real DVC."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from flows import checkout
from tests.support import projects


def test_a_clone_has_the_cache_and_the_remotes_of_its_project(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project, folder = tmp_path / "project", tmp_path / "project/.cache/retrain/x"
    (project / ".dvc").mkdir(parents=True)
    projects.git(project, "init", "--quiet", "--initial-branch", "main")
    (project / ".dvc/config").touch()
    (project / ".dvc/config.local").write_text("['remote \"near\"']\n    url = ../../storage\n")
    (project / ".gitignore").write_text("/.cache\n/.dvc/cache\n/.dvc/tmp\n/.dvc/config.local\n")
    for name in ("cached", "pushed"):
        (project / name).write_text(name)
    projects.call(project, "-m", "dvc", "add", "--quiet", "cached", "pushed")
    projects.call(project, "-m", "dvc", "push", "--quiet", "--remote", "near", "pushed")
    pushed = hashlib.md5(b"pushed").hexdigest()
    (project / ".dvc/cache/files/md5" / pushed[:2] / pushed[2:]).unlink()
    projects.commit(project)
    checkout.check_out(str(project), "main", folder)
    checkout.share_cache(project, folder)
    checkout.share_cache(project, folder)  # the next night
    projects.call(folder, "-m", "dvc", "checkout", "--quiet", "cached.dvc")
    assert (folder / "cached").read_text() == "cached"
    projects.call(folder, "-m", "dvc", "pull", "--quiet", "--remote", "near", "pushed.dvc")
    assert (folder / "pushed").read_text() == "pushed"
