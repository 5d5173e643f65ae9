"""The gate's policy: evidence about challenger and champion in, a verdict with all figures out.

Why: one pure function of the evidence and the limits in params.yaml (section `promote`) decides, so that a
verdict can be tested and reproduced without a model.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from seq2seq.common.schema import Promote

LOADS = "loads and answers"  # the only criterion that --force does not override
GAIN = "gain"  # a challenger that fails only this one is kept, not rejected
# The first of these that fails is named first in the reason: it explains the others.
DECISIVE = (
    *(
        LOADS,
        "same direction",
        "same evaluation set",
        "frozen set",
        "same signatures",
        "answers as evaluated",
    ),
    *("licences", "minimum BLEU", "contamination", "no loss", "behaviour", "size", "latency", "slice"),
)
Facts = Mapping[str, Any]  # reports/evidence.json, or a part of it


@dataclass(frozen=True)
class Criterion:
    """A line of a verdict; `ok` is None if it cannot be judged or does not decide."""

    name: str
    ok: bool | None
    figure: str
    limit: str


@dataclass(frozen=True)
class Judgement:
    """The outcome (promoted | waiting | kept | rejected), the reason with decisive figures, all criteria."""

    outcome: str
    reason: str
    criteria: tuple[Criterion, ...]


def with_outcome(verdict: Facts) -> dict[str, Any]:
    """The content of a reports/verdict.json; earlier releases named the outcome `what`."""
    return {"outcome": verdict.get("what"), **verdict}


def judge(evidence: Facts, policy: Promote) -> Judgement:
    """The verdict on a challenger.

    Rejected: not fit to serve, or significantly worse than the champion, overall or on a slice. Kept (the
    champion stays): fit, but not shown to be better. Promoted: fit, and better or the first. Waiting: the
    same, where the policy requires a person's approval.
    """
    criteria = [
        *_answers(evidence["challenger"]),
        *_same_direction(evidence),
        *_measured_alike(evidence, policy),
        *_licensed(evidence, policy),
        *_good_enough(evidence, policy),
        *_behaves(evidence, policy),
        _no_loss(evidence, policy),
        *_costs(evidence, policy),
        *_slices(evidence, policy),
    ]
    gain = _gain(evidence, policy)
    failed = sorted((c for c in criteria if c.ok is False), key=lambda c: (_rank(c), c.name))
    version, champion = f"version {evidence['challenger']['version']}", evidence["champion"]
    if failed:
        outcome, reason = "rejected", f"{version} fails {_because(failed)}"
    elif champion is None:
        bleu = evidence["challenger"]["scores"]["bleu"]
        outcome, reason = "promoted", f"{version} is fit, BLEU {bleu:.2f}, and there is no champion"
    elif champion["problem"]:
        outcome = "kept"
        reason = (
            f"{version} is fit, but the champion, version {champion['version']}, cannot be compared: "
            f"{_line(champion['problem'])}; go back by `seq2seq rollback --reason ...`, or replace it "
            "by `seq2seq promote --force --reason ...`"
        )
    else:
        outcome = "promoted" if gain.ok else "kept"
        better = "is better than" if gain.ok else "is not shown to be better than"
        reason = f"{version} {better} the champion, version {champion['version']}: {gain.figure}"
        reason += "" if gain.ok else f"; required: {gain.limit}"
    if outcome == "promoted" and policy.approval == "required":
        outcome, reason = "waiting", f"{reason}; it waits for approval"
    return Judgement(outcome, reason, (*criteria, gain))


def _answers(challenger: Facts) -> Iterator[Criterion]:
    problem = _line(challenger["problem"])
    # A model that answers, but not as evaluated, has a problem too: only one criterion shows it.
    differs = bool(problem) and challenger["scores"] is not None
    loads = not problem or differs
    yield Criterion(LOADS, loads, "yes" if loads else problem, "yes")
    same = bool(challenger["answers_as_evaluated"]) if loads else None
    figure = "yes" if same else problem or ("no" if loads else "not tested")
    yield Criterion(
        "answers as evaluated", same, figure if loads else "not tested", "yes, nearly every sentence"
    )


def _same_direction(evidence: Facts) -> Iterator[Criterion]:
    """A champion of other languages, or of another kind of corpus, is not comparable."""
    if evidence["champion"] is None:
        return
    other = evidence.get("direction", "")  # evidence of earlier code has none
    figure = f"the champion {other}" if other else "yes"
    if other:
        figure += (
            "; name the languages in ingest.source_language and target_language, or give this model a "
            "register.name of its own; `seq2seq promote --force --reason ...` promotes it anyway"
        )
    yield Criterion("same direction", not other, figure, "the champion's languages and kind of corpus")


def _measured_alike(evidence: Facts, policy: Promote) -> Iterator[Criterion]:
    """The model's scores and the policy refer to the evaluation set and signatures in this folder."""
    frozen, metrics = evidence["set"], evidence["metrics"]
    here = f"{frozen['name']} in this folder, {_short(frozen['digest'])}"
    again = "evaluate again: `dvc repro evaluate`"
    same = metrics["digest"] == frozen["digest"]
    figure = f"evaluated on {_short(metrics['digest'])}"
    yield Criterion("same evaluation set", same, figure if same else f"{figure}; {again}", here)

    wanted = policy.frozen_digest
    named = wanted is None or frozen["digest"] == wanted
    figure = _short(frozen["digest"])
    if not named:
        figure += (
            ": restore the named set, or set promote.frozen_digest to this one, then `dvc repro evaluate`"
        )
    limit = "any (promote.frozen_digest: null)" if wanted is None else _short(wanted)
    yield Criterion("frozen set", named if wanted else None, figure, limit)

    now, then = evidence["signatures"], metrics["signatures"]
    other = sorted(name for name in now if then.get(name) != now[name])
    figure = ", ".join(f"{name} {then.get(name)}" for name in other) or "the same"
    limit = ", ".join(f"{name} {now[name]}" for name in other or sorted(now))
    if other:
        figure += f"; {again} (with --force --single-item)"
    yield Criterion("same signatures", not other, figure, limit)


def _licensed(evidence: Facts, policy: Promote) -> Iterator[Criterion]:
    """The licences of the sources that the model is trained on are among those allowed."""
    if policy.licences is None:
        return
    recorded = evidence.get("licences")  # a version of earlier code has none
    found: dict[str, str] = json.loads(recorded) if recorded else {}
    other = {name: licence for name, licence in found.items() if licence not in policy.licences}
    figure = ", ".join(f"{name}: {licence}" for name, licence in (other or found).items()) or "not recorded"
    if other:
        figure += "; name the licence in ingest.sources, remove the source, or allow it"
    limit = f"one of {', '.join(policy.licences) or 'none'} (promote.licences)"
    yield Criterion("licences", bool(found) and not other, figure, limit)


def _good_enough(evidence: Facts, policy: Promote) -> Iterator[Criterion]:
    scores, limit = evidence["challenger"]["scores"], f"at least {policy.minimum_bleu:.2f}"
    if scores is None:  # the first criterion shows the reason; without a reason it fails here
        unknown = None if evidence["challenger"]["problem"] else False
        yield Criterion("minimum BLEU", unknown, "not scored", limit)
    else:
        bleu = scores["bleu"]
        finite = all(math.isfinite(value) for value in scores.values())
        figure = f"{bleu:.2f}" if finite else ", ".join(f"{name} {v}" for name, v in scores.items())
        yield Criterion("minimum BLEU", finite and bleu >= policy.minimum_bleu, figure, limit)

    found, size = evidence["contaminated"], evidence["set"]["sentences"]
    figure = f"{found:,} of {size:,} sentences of {evidence['set']['name']} are in train"
    clean = found <= policy.maximum_contaminated
    yield Criterion("contamination", clean, figure, f"at most {policy.maximum_contaminated:,}")


def _behaves(evidence: Facts, policy: Promote) -> Iterator[Criterion]:
    checks = evidence["behaviour"]
    if policy.behaviour is None:
        yield Criterion("behaviour", None, "not checked", "none (promote.behaviour: null)")
    elif not checks:
        unknown = None if evidence["challenger"]["problem"] else False
        yield Criterion("behaviour", unknown, "not checked", policy.behaviour)
    else:
        chance = policy.significance / len(checks)  # corrected for the number of checks
        for check in checks:
            figure, ok = f"{check['passed']} of {check['cases']} cases", check["ok"]
            limit = f"at least {_percent(check['threshold'])}"
            if check["champion_share"] is not None:
                figure += f" (the champion: {_percent(check['champion_share'])})"
            if check["p"] is not None and check["lost"] > check["gained"] and check["p"] < chance:
                ok = False
                figure += f", {check['lost']} lost, {check['gained']} gained, p = {check['p']:.4f}"
                limit += f", and no loss against the champion with p < {chance:.4f}"
            yield Criterion(f"behaviour {check['check']}", ok, figure, limit)


def _costs(evidence: Facts, policy: Promote) -> Iterator[Criterion]:
    """Size and latency are not much above the champion's, where the policy limits them."""
    for name, limit, scale, unit in (
        ("size", policy.max_size_ratio, 1e-6, "MB"),
        ("latency", policy.max_latency_ratio, 1e3, "ms"),
    ):
        if limit is None:
            continue
        allowed = f"at most {limit:g} times the champion's (promote.max_{name}_ratio)"
        ours, theirs = evidence["challenger"].get(name), (evidence["champion"] or {}).get(name)
        if not ours or not theirs:
            yield Criterion(name, None, _untested(evidence) or "not measured", allowed)
            continue
        shown, than = f"{ours * scale:.1f} {unit}", f"the champion's {theirs * scale:.1f} {unit}"
        yield Criterion(name, ours / theirs <= limit, f"{shown}, {ours / theirs:.2f} times {than}", allowed)


def _no_loss(evidence: Facts, policy: Promote) -> Criterion:
    limit = f"no loss of BLEU with p < {policy.significance:g}"
    if (unknown := _untested(evidence)) is not None:
        return Criterion("no loss", None, unknown, limit)
    test = evidence["tests"]["bleu"]
    worse = test["delta"] < 0 and test["p"] < policy.significance
    return Criterion("no loss", not worse, _difference(test), limit)


def _gain(evidence: Facts, policy: Promote) -> Criterion:
    least = f"at least {policy.margin:+.2f}" if policy.margin else "more"
    limit = f"{least} BLEU with p < {policy.significance:g}"
    if (unknown := _untested(evidence)) is not None:
        return Criterion(GAIN, None, unknown, limit)
    test = evidence["tests"]["bleu"]
    better = test["delta"] > 0 and test["delta"] >= policy.margin and test["p"] < policy.significance
    return Criterion(GAIN, better, _difference(test), limit)


def _slices(evidence: Facts, policy: Promote) -> Iterator[Criterion]:
    chance = significance_of_one(policy, [part["sentences"] for part in evidence["slices"]])
    for part in evidence["slices"]:
        limit = f"loses at most {policy.worst_slice:.2f} BLEU, or p >= {chance:.2g}"
        figure = f"{part['sentences']:,} sentences, BLEU {part['challenger']:.2f}"
        ok = None
        if part["delta"] is not None:
            figure += f", {_difference(part)}"
            lost = -part["delta"] > policy.worst_slice and part["p"] is not None
            ok = not (lost and part["p"] < chance)
        if part["sentences"] < policy.smallest_slice:
            ok, limit = None, f"none: fewer than {policy.smallest_slice} sentences"
        yield Criterion(f"slice {part['slice']}", ok, figure, limit)


def significance_of_one(policy: Promote, sizes: Iterable[int]) -> float:
    """The significance level of one slice, corrected for the number of slices that are large enough."""
    return policy.significance / max(1, sum(size >= policy.smallest_slice for size in sizes))


def _untested(evidence: Facts) -> str | None:
    """The reason why challenger and champion are not compared; None if they are."""
    champion = evidence["champion"]
    if champion is None:
        return "there is no champion"
    if champion["problem"]:
        return f"the champion, version {champion['version']}: {_line(champion['problem'])}"
    return "not tested" if evidence["tests"] is None else None


def _because(failed: Sequence[Criterion]) -> str:
    """The decisive criterion with its figures, and the others by name."""
    first, *others = failed
    more = f"; also fails: {', '.join(c.name for c in others)}" if others else ""
    return f"{first.name!r}: {first.figure}; required: {first.limit}{more}"


def _rank(criterion: Criterion) -> int:
    return next(place for place, name in enumerate(DECISIVE) if criterion.name.startswith(name))


def _difference(test: Facts) -> str:
    chance = "p unknown" if test["p"] is None else f"p = {test['p']:.3f}"
    return f"{test['delta']:+.2f} BLEU, {chance if test['p'] is None or test['p'] >= 0.001 else 'p < 0.001'}"


def _percent(share: float) -> str:
    return f"{100 * share:.4g} %"


def _line(problem: str) -> str:
    return " ".join(problem.split())[:300]


def _short(digest: str) -> str:
    return digest[:12]
