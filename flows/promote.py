"""`seq2seq promote`: the tree's version becomes champion if it is fit, and better.

Why: the alias selects the version that serves. The evidence is computed first, in a process of its
own and without a lock (reports/evidence.json); the policy judges it (seq2seq/gate/policy.py, section
`promote` of params.yaml); then, under the lock and only if nothing has moved meanwhile, the verdict is logged
and applied. With the same inputs a version keeps its verdict: then no model is loaded.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from flows import console, locks, verdict_files
from flows.dvc_runner import call
from flows.verdict import Verdict
from seq2seq.common import environment, masking, params, paths, schema
from seq2seq.common.errors import TransientError, UserError
from seq2seq.common.exits import Exit
from seq2seq.gate import policy
from seq2seq.tracking import client, promotions, registry, version_files
from seq2seq.tracking.registry import CHALLENGER, CHAMPION, VERDICT, WAITING, Version

TRIES = 3  # rounds until a champion that keeps moving is given up
ORIGIN = ("git.commit", "git.dirty", "dvc.lock.sha256", "params.sha256", "prefect.flow_run_id")
STATUS = {
    **dict.fromkeys(("promoted", "forced", "unchanged"), Exit.DONE),
    **{"kept": Exit.KEPT, "rejected": Exit.REJECTED, WAITING: Exit.WAITING},
}
# The code of evidence and policy, below seq2seq/. All but the policy is run from the tree, which need not be
# this code's own.
VERDICT_CODE = (
    *("gate/*.py", "evaluation/scores.py", "evaluation/bleu_tokenizer.py"),
    *("data/direction.py", "data/words.py"),
)


class Candidates(NamedTuple):
    """The version to judge, and the one that serves."""

    challenger: Version
    champion: Version | None

    @property
    def champion_version(self) -> str | None:
        """The champion's number."""
        return self.champion.version if self.champion else None

    def unchanged_since(self, other: Candidates) -> bool:
        """Whether nobody has promoted, judged or rolled back between the two."""
        return (self.champion_version, *_verdict_tags(self)) == (
            other.champion_version,
            *_verdict_tags(other),
        )


def promote(force: str | None = None, flow_run_id: str = "", timeout: float | None = None) -> Verdict:
    """Judge the tree's version and act on the verdict.

    `force` is a person's reason to promote it against the policy; `timeout` (seconds) limits the run of
    the evidence. Raises UserError, TransientError, StageError.
    """
    environment.configure_process()
    began = time.monotonic()
    current = params.load()
    force = force if force is None else promotions.checked(force)
    for _ in range(TRIES):
        with registry.promotions():
            candidates = _candidates()
        if cached := _cached_verdict(candidates, current, force):
            verdict = _verdict(candidates, *cached, flow_run_id, began)
            return replace(verdict, criteria=verdict_files.ensure_consistent(candidates.challenger, verdict))
        key = _verdict_key(candidates, current)
        evidence = run_evidence(candidates, timeout)
        outcome, reason, criteria = _judge(evidence, current, force)
        with registry.promotions():
            if candidates.unchanged_since(_candidates()):
                # A version that does not load today may load tomorrow: it is judged again, and again logged
                # and alerted only if the verdict is another.
                complete = all(e["scores"] for e in (evidence["challenger"], evidence["champion"]) if e)
                again = not complete and _previous_verdict(candidates.challenger) == (outcome, reason)
                verdict = _verdict(candidates, outcome, reason, flow_run_id, began, criteria, again=again)
                verdict_files.write(verdict)
                if again or _apply(verdict, key if complete else ""):
                    break
        _print("somebody promoted, judged or rolled back meanwhile: judging again")
    else:
        raise TransientError(
            f"{candidates.challenger.name}@{CHAMPION} moved {TRIES} times while being compared"
        )
    verdict_files.publish(candidates.challenger, verdict.when)
    return verdict


def _apply(verdict: Verdict, key: str) -> bool:
    """Log a verdict and apply it; returns whether no other host was first."""
    try:
        promotions.apply(verdict.entry(key), verdict.facts())
    except promotions.RaceError as error:
        _print(str(error))
        return False
    return True


def mark_notified(verdict: Verdict) -> None:
    """Record that the alert about this verdict was sent; until then each flow run sends it."""
    version = registry.get_version(verdict.name, verdict.version)
    if version is not None and not verdict.notified:
        when = version.tags.get(promotions.WHEN, verdict.when)
        registry.tag_version(version.name, version.version, {promotions.NOTIFIED: when})


def registered() -> Version | None:
    """The version in this tree's registration record; None if the registry does not have it."""
    record = json.loads(paths.REGISTRATION.read_text(encoding="utf-8"))
    version = registry.get_version(record["name"], str(record["version"]))
    if version is None or version.tags.get("model_digest") != record["model_digest"]:
        return None
    known = version.tags.get(version_files.ALL)
    if record.get("files_sha256", known) != known:
        raise UserError(
            f"{version.uri}: the registry's digest of its files is not that of {paths.REGISTRATION}: the tag "
            "has been changed; `seq2seq run --force register` registers the model again"
        )
    return version


def missing_from_registry() -> str:
    """Why the tree's version cannot be promoted as it is; empty if it can."""
    environment.configure_process()
    if not paths.REGISTRATION.is_file() or registered() is not None:
        return ""
    record = json.loads(paths.REGISTRATION.read_text(encoding="utf-8"))
    version = f"{record['name']} version {record['version']}"
    return f"{masking.mask(client.uri())} does not have {version} of this tree"


def run_evidence(candidates: Candidates, timeout: float | None = None) -> dict[str, Any]:
    """Run challenger and champion; returns reports/evidence.json. Raises StageError, UserError."""
    paths.EVIDENCE.unlink(missing_ok=True)
    uris = [version.uri for version in candidates if version]
    call("promote", "seq2seq.gate.evidence", uris, _print, timeout)
    evidence: dict[str, Any] = json.loads(paths.EVIDENCE.read_text(encoding="utf-8"))
    challenger = candidates.challenger
    if evidence["metrics"]["model_digest"] != challenger.tags["model_digest"]:
        raise UserError(
            f"{paths.METRICS} is of another model than {challenger.name} version {challenger.version} of "
            f"{paths.REGISTRATION}: `dvc repro` brings them together"
        )
    return evidence


def _candidates() -> Candidates:
    """Challenger and champion as they are now, after recovery of interrupted promotions."""
    if not paths.REGISTRATION.is_file():
        raise UserError(f"{paths.REGISTRATION} is missing: `make run` or `dvc repro` registers a model")
    challenger = registered()
    if challenger is None:
        raise UserError(f"{missing_from_registry()}: `make run` registers it there")
    promotions.recover(challenger.name)
    # Where DVC restored an earlier model no stage has run, and the alias is still another's.
    candidate = registry.version_by_alias(challenger.name, CHALLENGER)
    if candidate is None or candidate.version != challenger.version:
        registry.set_alias(challenger.name, CHALLENGER, challenger.version)
    return Candidates(registered() or challenger, registry.version_by_alias(challenger.name, CHAMPION))


def _verdict_tags(candidates: Candidates) -> tuple[str | None, ...]:
    tags = candidates.challenger.tags
    return candidates.challenger.version, tags.get(VERDICT), tags.get(promotions.WHEN)


def _previous_verdict(version: Version) -> tuple[str | None, str | None]:
    return version.tags.get(VERDICT), version.tags.get(promotions.REASON)


def _cached_verdict(
    candidates: Candidates, current: schema.Params, force: str | None
) -> tuple[str, str] | None:
    """The verdict, and its reason, that needs no evidence; None if there is none."""
    challenger, champion = candidates
    number, given = challenger.version, challenger.tags.get(VERDICT)
    if champion is not None and champion.version == number:
        return "unchanged", f"version {number} is {challenger.name}@{CHAMPION} already"
    if force is not None or given is None:
        return None
    if given == promotions.ROLLED_BACK or (given in promotions.SERVED and champion is not None):
        reason = challenger.tags.get(promotions.REASON, "")
        left = f"was rolled back ({reason})" if given == promotions.ROLLED_BACK else "was champion before"
        now = f"now version {champion.version} is" if champion else "and there is no champion"
        back = f"seq2seq rollback --to {number} --reason ..."
        return "kept", f"version {number} {left}, {now}; `{back}` serves it again"
    if given not in ("kept", "rejected", WAITING):
        return None
    judged = challenger.tags.get(promotions.JUDGED)
    same = judged == _verdict_key(candidates, current)
    return (given, challenger.tags[promotions.REASON]) if same else None


def _verdict_key(candidates: Candidates, current: schema.Params) -> str:
    """Digest of the inputs of a verdict: champion, policy, suite, evaluation set, scores, gate's code."""
    inputs = [candidates.champion_version, current.promote.model_dump()]
    digest = hashlib.sha256(json.dumps(inputs, sort_keys=True).encode())
    suite = current.promote.behaviour
    frozen = paths.CORPUS / f"{current.evaluate.frozen_set}.parquet"
    facts = (paths.METRICS, paths.SEGMENTS, paths.SLICES, frozen, *([Path(suite)] if suite else []))
    for path in (*facts, *_verdict_code()):
        if not path.is_file():
            raise UserError(f"{path} is missing: `dvc checkout` or `dvc repro` brings it")
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


def _verdict_code() -> Iterator[Path]:
    """The files of VERDICT_CODE as `call` finds them, the tree's if it has any, and the policy."""
    policy_file = Path(policy.__file__)
    tree = Path("seq2seq")
    package = tree if (tree / "gate").is_dir() else policy_file.parents[1]
    yield policy_file
    for pattern in VERDICT_CODE:
        yield from sorted(package.glob(pattern))


def _judge(
    evidence: dict[str, Any], current: schema.Params, force: str | None
) -> tuple[str, str, tuple[policy.Criterion, ...]]:
    """Verdict, reason, criteria; raises UserError for a version that cannot be forced."""
    judgement = policy.judge(evidence, current.promote)
    if force is None:
        return judgement.outcome, judgement.reason, judgement.criteria
    if not next(c.ok for c in judgement.criteria if c.name == policy.LOADS):
        raise UserError(
            f"a version that does not load and answer is not promoted by force either: {judgement.reason}"
        )
    fit = judgement.outcome in ("promoted", WAITING)
    opinion = "would promote it too" if fit else f"decides {judgement.outcome}"
    return "forced", f"{force}; the policy {opinion}: {judgement.reason}", judgement.criteria


def _verdict(
    candidates: Candidates,
    outcome: str,
    reason: str,
    flow_run_id: str,
    began: float,
    criteria: tuple[policy.Criterion, ...] = (),
    *,
    again: bool = True,
) -> Verdict:
    """A verdict; `again` if it was given earlier."""
    name, version, tags = (
        candidates.challenger.name,
        candidates.challenger.version,
        candidates.challenger.tags,
    )
    notified = again and promotions.notified(tags)
    seconds = round(time.monotonic() - began, 1)
    origin = {tag: tags.get(tag, "unknown") for tag in ORIGIN}
    about = (*promotions.now_and_here(), flow_run_id, criteria, seconds, origin, notified)
    return Verdict(outcome, reason, name, version, candidates.champion_version, *about)


def _print(text: str) -> None:
    console.current.get().print(text)


def command(options: argparse.Namespace) -> int:
    """`seq2seq promote`; returns the exit status."""
    if options.force != bool((options.reason or "").strip()):
        raise UserError("--force and --reason TEXT go together")
    with locks.workspace():
        verdict = promote(options.reason)
    verdict.show(console.current.get())
    return STATUS[verdict.outcome]
