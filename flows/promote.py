"""`seq2seq promote`: the tree's version becomes champion if it is fit, and better.

Why: the alias is what serves. What both versions do is found out first, in a process of its own and
without a lock (reports/evidence.json); the policy judges it (seq2seq/gate/policy.py, section `promote` of
params.yaml); then, under the lock and only if nothing has moved meanwhile, the verdict is logged and
carried out. On the same grounds a version keeps its verdict: then no model is loaded.
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
from seq2seq.common import environment, masking, params, paths
from seq2seq.common.errors import TransientError, UserError
from seq2seq.common.exits import Exit
from seq2seq.gate import policy
from seq2seq.tracking import client, promotions, registry
from seq2seq.tracking.registry import CHALLENGER, CHAMPION, VERDICT, Version

TRIES = 3  # rounds until a champion that keeps moving is given up
ORIGIN = ("git.commit", "git.dirty", "dvc.lock.sha256", "params.sha256", "prefect.flow_run_id")
STATUS = {
    **dict.fromkeys(("promoted", "forced", "unchanged"), Exit.DONE),
    **{"kept": Exit.KEPT, "rejected": Exit.REJECTED},
}
# What finds out and judges, below seq2seq/. All but the policy is run from the tree, which need not be this
# code's own.
JUDGES = (
    *("gate/*.py", "evaluation/scores.py", "evaluation/bleu_tokenizer.py"),
    *("data/direction.py", "data/words.py"),
)


class Contest(NamedTuple):
    """Who stands against whom."""

    challenger: Version
    champion: Version | None

    @property
    def incumbent(self) -> str | None:
        """The champion's number."""
        return self.champion.version if self.champion else None

    def is_as(self, other: Contest) -> bool:
        """Whether nobody has promoted, judged or rolled back between the two."""
        return (self.incumbent, *_said(self)) == (other.incumbent, *_said(other))


def promote(force: str | None = None, flow_run_id: str = "", timeout: float | None = None) -> Verdict:
    """Judge the tree's version and do what the verdict says.

    `force` is somebody's reason to promote it whatever the policy says; `timeout` (seconds) is for
    finding out what the versions do. Raises UserError, TransientError, StageError.
    """
    environment.configure_process()
    began = time.monotonic()
    current = params.load()
    force = force if force is None else promotions.checked(force)
    for _ in range(TRIES):
        with registry.promotions():
            contest = _contest()
        if standing := _standing(contest, current, force):
            verdict = _verdict(contest, *standing, flow_run_id, began)
            return replace(verdict, criteria=verdict_files.keep_company(contest.challenger, verdict))
        grounds = _grounds(contest, current)
        evidence = gather(contest, timeout)
        what, reason, criteria = _judge(evidence, current, force)
        with registry.promotions():
            if contest.is_as(_contest()):
                # What does not load today may load tomorrow: then it is judged again, and again logged
                # and told only if there is something new to tell.
                heard = all(e["scores"] for e in (evidence["challenger"], evidence["champion"]) if e)
                stands = not heard and _told_before(contest.challenger) == (what, reason)
                verdict = _verdict(contest, what, reason, flow_run_id, began, criteria, stands=stands)
                verdict_files.write(verdict)
                if not stands:
                    promotions.apply(verdict.entry(grounds if heard else ""), verdict.facts())
                break
        _say("somebody promoted, judged or rolled back meanwhile: judging again")
    else:
        raise TransientError(f"{contest.challenger.name}@{CHAMPION} moved {TRIES} times while being compared")
    verdict_files.publish(contest.challenger, verdict.when)
    return verdict


def told(verdict: Verdict) -> None:
    """Remember that those who want to know have this verdict; until then each flow run tells them."""
    version = registry.get_version(verdict.name, verdict.version)
    if version is not None and not verdict.is_told:
        when = version.tags.get(promotions.WHEN, verdict.when)
        registry.tag_version(version.name, version.version, {promotions.NOTIFIED: when})


def registered() -> Version | None:
    """The version in this tree's registration record; None if the registry does not have it."""
    record = json.loads(paths.REGISTRATION.read_text(encoding="utf-8"))
    version = registry.get_version(record["name"], str(record["version"]))
    if version is None or version.tags.get("model_digest") != record["model_digest"]:
        return None
    return version


def missing_from_registry() -> str:
    """Why the tree's version cannot be promoted as it is; empty if it can."""
    environment.configure_process()
    if not paths.REGISTRATION.is_file() or registered() is not None:
        return ""
    record = json.loads(paths.REGISTRATION.read_text(encoding="utf-8"))
    version = f"{record['name']} version {record['version']}"
    return f"{masking.mask(client.uri())} does not know {version} of this tree"


def gather(contest: Contest, timeout: float | None = None) -> dict[str, Any]:
    """What challenger and champion do, as reports/evidence.json; raises StageError, UserError."""
    paths.EVIDENCE.unlink(missing_ok=True)
    uris = [version.uri for version in contest if version]
    call("promote", "seq2seq.gate.evidence", uris, _say, timeout)
    evidence: dict[str, Any] = json.loads(paths.EVIDENCE.read_text(encoding="utf-8"))
    challenger = contest.challenger
    if evidence["metrics"]["model_digest"] != challenger.tags["model_digest"]:
        raise UserError(
            f"{paths.METRICS} is of another model than {challenger.name} version {challenger.version} of "
            f"{paths.REGISTRATION}: `dvc repro` brings them together"
        )
    return evidence


def _contest() -> Contest:
    """Who stands against whom now, with all that was left half done brought to an end."""
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
    return Contest(registered() or challenger, registry.version_by_alias(challenger.name, CHAMPION))


def _said(contest: Contest) -> tuple[str | None, ...]:
    tags = contest.challenger.tags
    return contest.challenger.version, tags.get(VERDICT), tags.get(promotions.WHEN)


def _told_before(version: Version) -> tuple[str | None, str | None]:
    return version.tags.get(VERDICT), version.tags.get(promotions.REASON)


def _standing(contest: Contest, current: params.Params, force: str | None) -> tuple[str, str] | None:
    """The verdict, and its reason, that needs no evidence; None if there is none."""
    challenger, champion = contest
    number, said = challenger.version, challenger.tags.get(VERDICT)
    if champion is not None and champion.version == number:
        return "unchanged", f"version {number} is {challenger.name}@{CHAMPION} already"
    if force is not None or said is None:
        return None
    if said == promotions.ROLLED_BACK or (said in promotions.SERVED and champion is not None):
        told = challenger.tags.get(promotions.REASON, "")
        left = f"was rolled back ({told})" if said == promotions.ROLLED_BACK else "was champion before"
        now = f"now version {champion.version} is" if champion else "and there is no champion"
        back = f"seq2seq rollback --to {number} --reason ..."
        return "kept", f"version {number} {left}, {now}; `{back}` serves it again"
    if said in ("kept", "rejected") and challenger.tags.get(promotions.JUDGED) == _grounds(contest, current):
        return said, challenger.tags[promotions.REASON]
    return None


def _grounds(contest: Contest, current: params.Params) -> str:
    """Digest of what a verdict rests upon: champion, policy, suite, evaluation set, scores, who judges."""
    told = [contest.incumbent, current.promote.model_dump()]
    grounds = hashlib.sha256(json.dumps(told, sort_keys=True).encode())
    suite = current.promote.behaviour
    frozen = paths.CORPUS / f"{current.evaluate.frozen_set}.parquet"
    facts = (paths.METRICS, paths.SEGMENTS, paths.SLICES, frozen, *([Path(suite)] if suite else []))
    for path in (*facts, *_judges()):
        if not path.is_file():
            raise UserError(f"{path} is missing: `dvc checkout` or `dvc repro` brings it")
        grounds.update(hashlib.sha256(path.read_bytes()).digest())
    return grounds.hexdigest()


def _judges() -> Iterator[Path]:
    """The files of JUDGES as `call` finds them, the tree's if it has any, and the policy."""
    policy_file = Path(policy.__file__)
    tree = Path("seq2seq")
    package = tree if (tree / "gate").is_dir() else policy_file.parents[1]
    yield policy_file
    for pattern in JUDGES:
        yield from sorted(package.glob(pattern))


def _judge(
    evidence: dict[str, Any], current: params.Params, force: str | None
) -> tuple[str, str, tuple[policy.Criterion, ...]]:
    """Verdict, reason, criteria; raises UserError for what nobody may force."""
    judgement = policy.judge(evidence, current.promote)
    if force is None:
        return judgement.outcome, judgement.reason, judgement.criteria
    if not next(c.ok for c in judgement.criteria if c.name == policy.LOADS):
        raise UserError(f"what does not load and answer is not promoted by force either: {judgement.reason}")
    said = "would have promoted it" if judgement.outcome == "promoted" else f"says {judgement.outcome}"
    return "forced", f"{force}; the policy {said}: {judgement.reason}", judgement.criteria


def _verdict(
    contest: Contest,
    what: str,
    reason: str,
    flow_run_id: str,
    began: float,
    criteria: tuple[policy.Criterion, ...] = (),
    *,
    stands: bool = True,
) -> Verdict:
    """A verdict, which `stands` if it was given earlier."""
    name, version, tags = contest.challenger.name, contest.challenger.version, contest.challenger.tags
    is_told = stands and tags.get(promotions.NOTIFIED) == tags.get(promotions.WHEN)
    seconds = round(time.monotonic() - began, 1)
    origin = {tag: tags.get(tag, "unknown") for tag in ORIGIN}
    about = (*promotions.now_and_here(), flow_run_id, criteria, seconds, origin, is_told)
    return Verdict(what, reason, name, version, contest.incumbent, *about)


def _say(text: str) -> None:
    console.current.get().line(text)


def command(options: argparse.Namespace) -> int:
    """`seq2seq promote`; returns the exit status."""
    if options.force != bool((options.reason or "").strip()):
        raise UserError("--force and --reason TEXT go together")
    with locks.workspace():
        verdict = promote(options.reason)
    verdict.show(console.current.get())
    return STATUS[verdict.what]
