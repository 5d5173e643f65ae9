"""`seq2seq approve`: a version that waits for approval becomes champion, once it has answered.

Why: with `promote.approval: required` the gate judges and a person decides. The person approves the
comparison that the gate made, so the champion must still be the one of that comparison.
"""

from __future__ import annotations

import argparse
from dataclasses import asdict

from flows import console, rollback
from seq2seq.common import environment
from seq2seq.common.errors import UserError
from seq2seq.common.exits import Exit
from seq2seq.tracking import promotions, registry
from seq2seq.tracking.promotions import APPROVED, Entry
from seq2seq.tracking.registry import CHAMPION, VERDICT, WAITING, Version


def approve(name: str, number: str, reason: str) -> Entry:
    """Make a waiting version the champion; returns the log's entry.

    Raises UserError if the version does not wait, the champion has changed since its verdict, or the version
    does not load and answer.
    """
    environment.configure_process()
    reason = promotions.checked(reason)
    registry.check_exists()
    with registry.promotions():
        for done in promotions.recover(name):
            if (done.outcome, done.version) == (APPROVED, number):
                return done  # of a process that was killed after it had moved the alias
        _, version = _check(name, number)
    rollback.check_answers("approve", version, f"{name}: version {number} is not approved")
    with registry.promotions():
        promotions.recover(name)
        champion, _ = _check(name, number)
        entry = Entry(name, APPROVED, champion, number, reason, *promotions.now_and_here())
        promotions.apply(entry, asdict(entry))
    return entry


def _check(name: str, number: str) -> tuple[str | None, Version]:
    """The champion's number and the version, which waits; raises UserError if it may not be approved."""
    version, waiting = registry.get_version(name, number), registry.version_by_alias(name, WAITING)
    if version is None:
        raise UserError(f"{name} has no version {number}: {registry.list_alternatives(name)}")
    champion = registry.version_by_alias(name, CHAMPION)
    serving = champion.version if champion else None
    if serving == number:
        raise UserError(f"version {number} is {name}@{CHAMPION} already")
    verdict, reason = version.tags.get(VERDICT), version.tags.get(promotions.REASON, "")
    if verdict != WAITING or waiting is None or waiting.version != number:
        now = f"version {waiting.version} does" if waiting else "no version does"
        state = f"it is {verdict} ({reason})" if verdict else "the gate has not judged it"
        raise UserError(f"{name}: version {number} does not wait for approval, {now}: {state}")
    compared = next(
        (e.champion for e in promotions.entries(name) if (e.outcome, e.version) == (WAITING, number)), None
    )
    if compared != serving:
        raise UserError(
            f"{name}: version {number} was compared with champion {compared or 'none'}, and now it is "
            f"{serving or 'none'}: `seq2seq promote` in the folder that registered it judges it again"
        )
    return serving, version


def command(options: argparse.Namespace) -> int:
    """`seq2seq approve`; returns the exit status."""
    done = approve(options.name or rollback.model_of_the_tree(), options.version, options.reason)
    before = done.champion or promotions.NOBODY
    console.current.get().print(f"{done.name}@{CHAMPION}: version {before} -> {done.version}")
    return Exit.DONE
