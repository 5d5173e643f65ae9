"""Champion or not: a new version takes the alias only if it is better on the same sentences.

Why: the alias is what serves. It moves by figures made the same way on the same evaluation split,
under a lock, and the verdict with its reason stays on the version.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from seq2seq import environment, paths, registry, store
from seq2seq.errors import UserError
from seq2seq.registry import CHALLENGER, CHAMPION, Version

VERDICT = "promotion.verdict"  # tag of a version
RESCORED = "rescored."  # tag of a champion: its BLEU on another split, by that split's digest


@dataclass(frozen=True)
class Verdict:
    """promoted | kept | unchanged, and why."""

    what: str
    reason: str
    seconds: float = 0.0


def registered() -> Version | None:
    """The version in this tree's registration record; None if the registry does not have it."""
    record = json.loads(paths.REGISTRATION.read_text(encoding="utf-8"))
    version = registry.get_version(record["name"], str(record["version"]))
    if version is None or version.tags.get("model_digest") != record["model_digest"]:
        return None
    return version


def missing_from_registry() -> str:
    """Why the tree's version cannot be promoted as it is; empty if it can."""
    environment.prepare()
    if not paths.REGISTRATION.is_file() or registered() is not None:
        return ""
    record = json.loads(paths.REGISTRATION.read_text(encoding="utf-8"))
    return f"{store.uri()} does not know {record['name']} version {record['version']} of this tree"


def promote() -> Verdict:
    """Decide about the tree's version; raises UserError if it cannot be compared."""
    environment.prepare()
    began = time.monotonic()
    challenger = registered()
    if challenger is None:
        raise UserError(missing_from_registry())
    with _one_at_a_time():
        champion = registry.version_by_alias(challenger.name, CHAMPION)
        if champion is not None and champion.version == challenger.version:
            what, reason = (
                "unchanged",
                f"version {challenger.version} is {challenger.name}@{CHAMPION} already",
            )
            if VERDICT not in challenger.tags:  # killed between moving the alias and saying so
                _write(challenger, "promoted", reason)
        elif champion is not None and challenger.tags.get(VERDICT) == "promoted":
            what = "kept"
            reason = (
                f"version {challenger.version} was champion before version {champion.version} was put in its "
                "place; move the alias by hand to serve it again"
            )
        else:
            what, reason = decide(challenger, champion)
            if what == "promoted":
                registry.set_alias(challenger.name, CHAMPION, challenger.version)
            _write(challenger, what, reason)
        # Where DVC restored an earlier model no stage has run, and the alias is still another's.
        candidate = registry.version_by_alias(challenger.name, CHALLENGER)
        if candidate is None or candidate.version != challenger.version:
            registry.set_alias(challenger.name, CHALLENGER, challenger.version)
    return Verdict(what, reason, time.monotonic() - began)


def _write(version: Version, what: str, reason: str) -> None:
    registry.tag_version(version.name, version.version, {VERDICT: what, "promotion.reason": reason})


def decide(challenger: Version, champion: Version | None) -> tuple[str, str]:
    """The verdict on a challenger and its reason."""
    new = float(challenger.tags["bleu"])
    mine = f"version {challenger.version} has BLEU {new:.2f}"
    if champion is None:
        return "promoted", f"{mine}, and there was no champion"
    same = ("test_digest", "bleu_signature")
    if all(challenger.tags[key] == champion.tags.get(key) for key in same):
        old, how = float(champion.tags["bleu"]), ""
    else:
        old, how = rescored(champion, challenger), " when scored again on this evaluation split"
    theirs = f"the champion, version {champion.version}, {old:.2f}{how}"
    return ("promoted" if new > old else "kept"), f"{mine}, {theirs}"


def rescored(champion: Version, challenger: Version) -> float:
    """The champion's BLEU on the challenger's evaluation split, the way the challenger was scored.

    In a process of its own, where the champion is loaded by the code it was registered with.
    Remembered as a tag of the champion. Raises UserError if that process fails.
    """
    key = f"{RESCORED}{challenger.tags['test_digest'][:16]}"
    wanted = challenger.tags["bleu_signature"]
    known = json.loads(champion.tags.get(key, "{}"))
    if known.get("bleu_signature") != wanted:
        done = subprocess.run(
            [sys.executable, "-m", "seq2seq.rescore", champion.uri],
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            last = (done.stderr.strip() or "no reason given").splitlines()[-1]
            raise UserError(
                f"{champion.uri}, the champion, cannot be scored on this evaluation split ({last}); compare "
                f"by hand and set the alias: MlflowClient().set_registered_model_alias"
                f"({champion.name!r}, {CHAMPION!r}, ...)"
            )
        known = json.loads(done.stdout.splitlines()[-1])
        if known["bleu_signature"] != wanted:
            raise UserError(
                f"BLEU is counted as {known['bleu_signature']} here, the challenger's as {wanted}"
            )
        registry.tag_version(champion.name, champion.version, {key: json.dumps(known)})
    return float(known["bleu"])


@contextmanager
def _one_at_a_time() -> Iterator[None]:
    """MLflow cannot compare and swap an alias: on one host promotions take turns by a file lock."""
    database = store.sqlite_file(store.uri())
    name = hashlib.sha256(store.uri().encode()).hexdigest()[:16]
    beside = database or Path(tempfile.gettempdir(), f"seq2seq-{os.getuid()}-{name}")
    with beside.with_name(f"{beside.name}.promotion").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
