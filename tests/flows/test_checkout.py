"""The clone of a schedule."""

from __future__ import annotations

from pathlib import Path

import pytest

from flows import checkout
from seq2seq.common.errors import TransientError, UserError
from tests.support import projects


def test_a_clone_follows_a_ref_and_keeps_what_runs_left(tmp_path: Path) -> None:
    origin, folder = tmp_path / "origin", tmp_path / "clones/x"
    origin.mkdir()
    projects.git(origin, "init", "--quiet", "--initial-branch", "main")
    (origin / "params.yaml").write_text("1")
    projects.commit(origin)
    first = checkout.check_out(str(origin), "main", folder)
    assert (folder / "params.yaml").read_text() == "1"
    assert str(origin) not in (folder / ".git/config").read_text()  # it may hold a password
    projects.git(origin, "tag", "v1")

    (folder / "dvc.lock").write_text("kept")
    (folder / "params.yaml").write_text("edited by hand")
    (origin / "params.yaml").write_text("2")
    projects.commit(origin)
    second = checkout.check_out(str(origin), "main", folder)
    assert (folder / "params.yaml").read_text() == "2"
    assert (folder / "dvc.lock").read_text() == "kept"
    for ref in ("v1", first):
        assert checkout.check_out(str(origin), ref, folder) == first != second
    assert (folder / "params.yaml").read_text() == "1"
    with pytest.raises(UserError, match="no branch, tag or commit 'mian'; branches: main"):
        checkout.check_out(str(origin), "mian", folder)
    with pytest.raises(TransientError, match=r"cannot be fetched: fatal: .*nowhere' does not appear"):
        checkout.check_out(str(tmp_path / "nowhere"), "main", folder)

    # Left by a kill: git's own lock, or a repository whose making was cut short.
    (folder / ".git/index.lock").touch()
    assert checkout.check_out(str(origin), "main", folder) == second
    for path in ("HEAD", "config"):
        (folder / ".git" / path).unlink()
    assert checkout.check_out(str(origin), "v1", folder) == first
    assert (folder / "dvc.lock").read_text() == "kept"


def test_a_ref_of_before_the_code_that_the_flows_call_is_refused_with_the_first_that_fits(
    tmp_path: Path,
) -> None:
    origin, folder = tmp_path / "origin", tmp_path / "clone"
    origin.mkdir()
    projects.git(origin, "init", "--quiet", "--initial-branch", "main")
    (origin / "params.yaml").write_text("1")
    projects.commit(origin)
    old = checkout.check_out(str(origin), "main", folder)
    with pytest.raises(UserError, match=f"main, commit {old[:12]}, has no .*no branch here has it"):
        checkout.check_fits(folder, "main", old)
    (origin / checkout.CALLED).parent.mkdir(parents=True)
    (origin / checkout.CALLED).touch()
    projects.commit(origin)
    new = checkout.check_out(str(origin), "main", folder)
    checkout.check_fits(folder, "main", new)
    (origin / "params.yaml").write_text("2")
    projects.commit(origin)
    checkout.check_out(str(origin), old, folder)
    with pytest.raises(UserError, match=rf"\({new[:12]} is the first commit with it\)"):
        checkout.check_fits(folder, old, old)


def test_a_ref_as_it_was_at_a_date_or_a_commit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    origin, folder = tmp_path / "origin", tmp_path / "clone"
    origin.mkdir()
    projects.git(origin, "init", "--quiet", "--initial-branch", "main")
    commits = []
    for day in ("01", "10", "20"):
        monkeypatch.setenv("GIT_COMMITTER_DATE", f"2026-11-{day}T12:00:00Z")
        (origin / "params.yaml").write_text(day)
        projects.commit(origin)
        commits.append(projects.git(origin, "rev-parse", "HEAD").strip())
    projects.git(origin, "checkout", "--quiet", "-b", "other", commits[0])
    (origin / "params.yaml").write_text("other")
    projects.commit(origin)
    other = projects.git(origin, "rev-parse", "HEAD").strip()
    for as_of, wanted in (
        ("2026-11-15", commits[1]),
        ("2026-11-10T12:00:00Z", commits[0]),  # before that moment, not at it
        ("2026-11-10T14:00:01+01:00", commits[1]),
        ("2027-01-01", commits[2]),
        (commits[0], commits[0]),
        (commits[1][:10], commits[1]),
    ):
        assert checkout.check_out(str(origin), "main", folder, as_of) == wanted
    assert (folder / "params.yaml").read_text() == "10"
    for as_of, message in (
        ("2026-10-01", "main has no commit before that date"),
        (other, "that commit is not part of main"),
        ("yesterday", "neither a date"),
        ("--output=x", "neither a date"),
    ):
        with pytest.raises(UserError, match=message):
            checkout.check_out(str(origin), "main", folder, as_of)
