"""`seq2seq rollback`: an older version becomes champion again, once it has answered.

Why: the way back is needed in a hurry and without the data, the model or the reports of any workspace.
The older version is loaded and queried first, in a process of its own; then, under the lock of all
promotions, the aliases move and the log says who did it and why. `previous` is then the version left.
"""

from __future__ import annotations

import argparse
from dataclasses import asdict

from flows import console
from flows.dvc_runner import call
from flows.stage_errors import StageError
from seq2seq.common import environment, params, paths
from seq2seq.common.errors import TransientError, UserError
from seq2seq.common.exits import Exit
from seq2seq.tracking import promotions, registry
from seq2seq.tracking.promotions import Entry
from seq2seq.tracking.registry import CHAMPION, PREVIOUS, Version


def rollback(name: str, to: str | None, reason: str) -> Entry:
    """Make version `to` (default: the alias `previous`) the champion of a model; returns the log's entry.

    One that was begun and killed half way is completed instead. Raises UserError if there is no such
    version, it serves already, it does not answer, or (without `to`) somebody moved the champion
    meanwhile; TransientError for a server that failed before anything moved: it may be tried again.
    """
    environment.configure_process()
    reason, to = promotions.checked(reason), to or None
    registry.check_exists()
    with registry.promotions():
        for done in promotions.recover(name):
            # Begun by somebody who was killed: to begin anew would go back to what was left.
            if done.outcome == promotions.ROLLED_BACK and to in (None, done.version):
                return done
        champion, target = _choose(name, to)
    check_answers("rollback", target, f"{name}: version {target.version} is not gone back to")
    with registry.promotions():
        promotions.recover(name)
        now, _ = _choose(name, target.version)
        if now != champion and to is None:
            raise UserError(
                f"{name}@{CHAMPION} was changed from version {champion} to {now} while version "
                f"{target.version} was tried: look at `seq2seq history {name}`, then name one by --to"
            )
        entry = Entry(name, promotions.ROLLED_BACK, now, target.version, reason, *promotions.now_and_here())
        try:
            promotions.apply(entry, asdict(entry))
        except TransientError as error:
            _look_after(entry, error)
    return entry


def check_answers(task: str, version: Version, refused: str) -> None:
    """Load and query a version in a process of its own; raises UserError, after `refused`, if it fails."""
    try:
        call(task, "seq2seq.gate.isolated", [version.uri], console.current.get().print)
    except StageError as failure:
        if failure.kind != "user":
            raise
        raise UserError(f"{refused}: {failure.message}") from None


def _look_after(entry: Entry, error: TransientError) -> None:
    """Whether a server that failed in the midst of it has moved the alias; raises if that is not known.

    To do it again is right only if it has not: else `previous` is the version that was left.
    """
    try:
        champion = registry.version_by_alias(entry.name, CHAMPION)
    except TransientError:
        raise UserError(
            f"{error}; whether {entry.name}@{CHAMPION} has moved is not known: when the server is back, "
            f"look at `seq2seq history {entry.name}` and go on with --to {entry.version}"
        ) from None
    if champion is None or champion.version != entry.version:
        raise error


def _choose(name: str, to: str | None) -> tuple[str | None, Version]:
    """The champion's number and the version to go back to."""
    champion = registry.version_by_alias(name, CHAMPION)
    target = registry.get_version(name, to) if to else registry.version_by_alias(name, PREVIOUS)
    if target is None:
        asked = f"version {to}" if to else f"alias {PREVIOUS}, so name a version by --to"
        raise UserError(f"{name} has no {asked}: {registry.list_alternatives(name)}")
    if champion is not None and champion.version == target.version:
        raise UserError(f"version {target.version} is {name}@{CHAMPION} already: name another by --to")
    return champion.version if champion else None, target


def model_of_the_tree() -> str:
    """`register.name` of params.yaml, where there is one."""
    if not paths.PARAMS.is_file():
        raise UserError(f"{paths.PARAMS} is not here, so say which model: --name NAME")
    return params.load().register.name


def command(options: argparse.Namespace) -> int:
    """`seq2seq rollback`; returns the exit status."""
    display = console.current.get()
    done = rollback(options.name or model_of_the_tree(), options.to, options.reason)
    display.print(f"{done.name}@{CHAMPION}: version {done.champion} -> {done.version}")
    return Exit.DONE
