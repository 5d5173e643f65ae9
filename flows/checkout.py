"""A clone of the project of a schedule's own, at a git ref, kept from run to run.

Why: an unattended run uses committed code, never a person's working tree. dvc.lock stays
in the clone, and the cache outside of it, so that an unchanged project runs no stage again.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from datetime import UTC, datetime
from pathlib import Path

from seq2seq.common import masking
from seq2seq.common.errors import TransientError, UserError

CLONES = Path(".cache/retrain")  # below the deployment's working folder; one for each deployment
PATIENCE = 900.0  # seconds for one git command
CALLED = "seq2seq/gate/evidence.py"  # of the code at a ref, by the flows


def check_out(repository: str, ref: str, folder: Path, as_of: str | None = None) -> str:
    """Bring `folder` to a branch, tag or commit of `repository`; returns the commit.

    `as_of` is a commit of it, or a date (ISO 8601): then it is the last commit before that date.

    Tracked files are put back as they are there; files that runs have written stay. The caller keeps others
    out of the folder. Raises TransientError if the repository does not answer, UserError for an unknown ref.
    """
    if ref.startswith("-"):
        raise UserError(f"{ref!r} is no branch, tag or commit")  # git would take it for an option
    shown = masking.mask(repository)
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / ".git").is_dir():
        shutil.rmtree(folder)
        folder.mkdir()
    # A killed run may have left git's locks, or half a repository; no other process works here.
    for lock in (folder / ".git").rglob("*.lock"):
        lock.unlink()
    _git(folder, "init", "--quiet")
    # The address is given to each call and not kept: it may hold a password.
    _git(folder, "config", "--unset", "remote.origin.url", optional=True)
    fetched = _git(
        *(folder, "fetch", "--quiet", "--prune", "--force", "--tags", "--", repository),
        "+refs/heads/*:refs/remotes/origin/*",
        error=f"{shown} cannot be fetched",
    )
    assert fetched is not None
    for candidate in (f"refs/remotes/origin/{ref}", f"refs/tags/{ref}", ref):
        commit = _git(folder, "rev-parse", "--quiet", "--verify", f"{candidate}^{{commit}}", optional=True)
        if commit:
            commit = _as_of(folder, commit, ref, as_of) if as_of else commit
            _git(folder, "checkout", "--quiet", "--force", "--detach", commit)
            return commit
    branches = _git(folder, "for-each-ref", "--format=%(refname:lstrip=3)", "refs/remotes/origin") or ""
    raise UserError(f"{shown} has no branch, tag or commit {ref!r}; branches: {', '.join(branches.split())}")


def _as_of(folder: Path, commit: str, ref: str, moment: str) -> str:
    """The commit that `commit` of a ref was at a date, or an ancestor by its hash; raises UserError."""
    try:
        then = datetime.fromisoformat(moment)
    except ValueError:
        named = f"{moment}^{{commit}}" if re.fullmatch("[0-9a-f]{7,40}", moment) else "none"
        found = _git(folder, "rev-parse", "--quiet", "--verify", named, optional=True)
        if not found:
            raise UserError(f"as_of={moment!r}: neither a date (2026-11-30) nor a commit") from None
        if _git(folder, "merge-base", "--is-ancestor", found, commit, optional=True) is None:
            raise UserError(f"as_of={moment!r}: that commit is not part of {ref}") from None
        return found
    zoned = then if then.tzinfo else then.replace(tzinfo=UTC)
    before = f"--before={int(zoned.timestamp()) - 1}"
    found = _git(folder, "rev-list", "--first-parent", "--max-count=1", before, commit)
    if not found:
        raise UserError(f"as_of={moment!r}: {ref} has no commit before that date")
    return found


def check_fits(folder: Path, ref: str, commit: str) -> None:
    """Raise UserError if the code at a ref is older than what these flows call of it."""
    if (folder / CALLED).is_file():
        return
    found = _git(folder, "log", "--all", "--reverse", "--diff-filter=A", "--format=%H", "--", CALLED) or ""
    first = found.partition("\n")[0][:12]
    remedy = f"{first} is the first commit with it" if first else "no branch here has it"
    raise UserError(
        f"{ref}, commit {commit[:12]}, has no {CALLED}, which the flows of this deployment call ({remedy}): "
        "name a later ref, or call `make deploy` in a checkout of that one"
    )


def share_cache(project: Path, folder: Path) -> None:
    """Let the clone use the project's DVC settings of this machine, and its cache."""
    from dvc.repo import Repo

    with Repo(project) as repo:
        cache = repo.cache.local_cache_dir
        ours = repo.config.load_one("local")  # e.g. the keys of a DVC remote; paths are absolute here
    ours.get("core", {}).pop("no_scm", None)  # of a deployed folder without git; the clone has it
    with Repo(folder) as repo, repo.config.edit("local") as local:
        local.clear()
        local.update(ours)
        local["cache"]["dir"] = cache


def _git(folder: Path, *arguments: str, error: str = "", optional: bool = False) -> str | None:
    """The output of a git command in `folder`; None if it fails and is `optional`."""
    what = f"git {arguments[0]}"
    try:
        done = subprocess.run(
            ["git", *arguments],
            cwd=folder,
            env={**os.environ, "GIT_TERMINAL_PROMPT": "0"},  # nobody is there to answer
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise TransientError(f"{what} took longer than {PATIENCE:.0f} s") from None
    if done.returncode == 0:
        return done.stdout.strip()
    if optional:
        return None
    lines = done.stderr.strip().splitlines() or ["no reason given"]
    reason = next((line for line in lines if line.startswith(("fatal: ", "error: "))), lines[-1])
    raise TransientError(masking.mask(f"{error or what + ' failed'}: {reason}"))
