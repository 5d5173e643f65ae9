"""The gate's policy on example challengers, and properties of every verdict."""

from __future__ import annotations

import copy
import math
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seq2seq.common.schema import Promote
from seq2seq.gate.policy import DECISIVE, LOADS, Judgement, judge
from tests.support.evidence import ELSEWHERE, HERE, changed, check, evidence

POLICY = Promote(
    frozen_digest=None,
    minimum_bleu=20.0,
    significance=0.05,
    margin=0.0,
    worst_slice=3.0,
    smallest_slice=50,
    maximum_contaminated=0,
    max_drift=None,
    behaviour="suite.yaml",
    licences=None,
    approval="none",
    max_size_ratio=None,
    max_latency_ratio=None,
)


def unanswering(problem: str) -> dict[str, Any]:
    """The evidence on a challenger that does not load."""
    facts = evidence(problem=problem, answers_as_evaluated=False, scores=None)
    return {**facts, "tests": None, "behaviour": [], "slices": []}


def test_a_fit_version_waits_where_approval_is_required() -> None:
    asks = POLICY.model_copy(update={"approval": "required"})
    for facts, outcome in (
        (evidence(1.2, 0.01), "waiting"),
        (evidence(0.3, 0.4), "kept"),
        (evidence(-2.0, 0.01), "rejected"),
    ):
        found = judge(facts, asks)
        assert found.outcome == outcome
        assert ("waits for approval" in found.reason) == (outcome == "waiting")
        assert found.criteria == judge(facts, POLICY).criteria


@pytest.mark.parametrize(
    ("ours", "theirs", "met"),
    [(1.5, 1.0, True), (1.6, 1.0, False), (0.5, 1.0, True), (None, 1.0, None), (1.0, None, None)],
)
def test_size_and_latency_are_limited_by_the_champion_s(
    ours: float | None, theirs: float | None, met: bool | None
) -> None:
    limits = POLICY.model_copy(update={"max_size_ratio": 1.5, "max_latency_ratio": 1.5})
    for name in ("size", "latency"):
        facts = changed(evidence(1.2, 0.01), **{f"challenger__{name}": ours, f"champion__{name}": theirs})
        found = judge(facts, limits)
        [criterion] = [c for c in found.criteria if c.name == name]
        assert criterion.ok is met
        assert found.outcome == ("rejected" if met is False else "promoted")
        assert criterion.limit == f"at most 1.5 times the champion's (promote.max_{name}_ratio)"
        assert not [c for c in judge(facts, POLICY).criteria if c.name == name]
    first = {**evidence(1.2, 0.01), "champion": None, "tests": None}
    assert judge(first, limits).outcome == "promoted"


NO_NUMBERS = [check("numbers", 40, 12), check("names", 30, 29)]
STAGED = {
    "better": (evidence(1.2, 0.01), "promoted", r"better than .* version 1: \+1.20 BLEU, p = 0.010"),
    "equal": (evidence(), "kept", r"not shown to be better .*\+0.00 BLEU, p = 1.000; required: more BLEU"),
    "slightly worse": (evidence(-0.4, 0.2), "kept", r"not shown to be better .*: -0.40 BLEU, p = 0.200"),
    "worse": (evidence(-1.5, 0.0001), "rejected", r"fails 'no loss': -1.50 BLEU, p < 0.001; required"),
    "better BLEU, broken numbers": (
        changed(evidence(1.2, 0.01), behaviour=NO_NUMBERS),
        "rejected",
        r"fails 'behaviour numbers': 12 of 40 cases \(the champion: 30 %\); required: at least 90 %",
    ),
    "contaminated": (
        changed(evidence(4.0, 0.001), contaminated=17),
        "rejected",
        r"fails 'contamination': 17 of 1,000 sentences of test are in train; required: at most 0",
    ),
    "wrong test set": (
        changed(evidence(4.0, 0.001), metrics__digest=ELSEWHERE),
        "rejected",
        r"'same evaluation set': evaluated on bbbbbbbbbbbb; .* `dvc repro evaluate`; required: .*aaa",
    ),
    "not the frozen set": (
        evidence(4.0, 0.001),
        "rejected",
        r"'frozen set': aaaaaaaaaaaa: restore the named set, or .*frozen_digest.*; required: bbbbbbbbbbbb",
    ),
    "unloadable": (unanswering("No file:\n weights"), "rejected", "'loads and answers': No file: weights;"),
    "NaN weights": (unanswering("weights hold NaN"), "rejected", "'loads and answers': weights hold NaN;"),
    "NaN scores": (evidence(scores={"bleu": math.nan, "chrf": 1.0}), "rejected", "'minimum BLEU': bleu nan"),
    "copy-only": (
        changed(evidence(-28.0, 0.0001), behaviour=[check("copies", 40, 0)]),
        "rejected",
        r"'minimum BLEU': 2.00; .*; also fails: no loss, behaviour copies, slice all",
    ),
    "other signature": (
        changed(evidence(4.0, 0.001), metrics__signatures__bleu="B|v:1"),
        "rejected",
        r"'same signatures': bleu B\|v:1; evaluate again: `dvc repro evaluate`.*; required: bleu B\|v:2",
    ),
    "another model's answers": (
        evidence(4.0, 0.001, problem="3 of 1,000 answers differ", answers_as_evaluated=False),
        "rejected",
        r"'answers as evaluated': 3 of 1,000 answers differ; required: yes",
    ),
    "one slice lost": (
        changed(evidence(1.0, 0.01), slices=[{**evidence()["slices"][1], "delta": -3.4, "p": 0.02}]),
        "rejected",
        r"'slice numbers': 80 sentences, BLEU 30.00, -3.40 BLEU, p = 0.020; required: loses at most 3.00",
    ),
    "a slice lost a little": (
        changed(evidence(1.0, 0.01), slices=[{**evidence()["slices"][1], "delta": -2.9, "p": 0.001}]),
        "promoted",
        r"\+1.00 BLEU",
    ),
    "the first": (
        changed(evidence(), champion=None, tests=None),
        "promoted",
        r"version 2 is fit, BLEU 30.00, and there is no champion",
    ),
    "a broken champion": (
        changed(evidence(), champion__problem="its files are gone", tests=None),
        "kept",
        "champion, version 1, cannot be compared: its files are gone; go back by `seq2seq rollback --reason",
    ),
    "never tested": (changed(evidence(5.0, 0.001), tests=None), "kept", "not shown .*: not tested"),
}


@pytest.mark.parametrize("name", STAGED)
def test_staged_challengers(name: str) -> None:
    facts, outcome, reason = STAGED[name]
    policy = POLICY
    if name == "not the frozen set":
        policy = POLICY.model_copy(update={"frozen_digest": ELSEWHERE})
    judgement = judge(facts, policy)
    assert judgement.outcome == outcome
    assert re.search(reason, judgement.reason), judgement.reason


def by_name(judgement: Judgement) -> dict[str, tuple[bool | None, str, str]]:
    return {c.name: (c.ok, c.figure, c.limit) for c in judgement.criteria}


def test_every_criterion_is_listed_with_figure_and_limit() -> None:
    loss = "loses at most 3.00 BLEU, or p >= 0.025"
    assert [(c.name, c.ok, c.figure, c.limit) for c in judge(evidence(1.2, 0.01), POLICY).criteria] == [
        ("loads and answers", True, "yes", "yes"),
        ("answers as evaluated", True, "yes", "yes, nearly every sentence"),
        ("same direction", True, "yes", "the champion's languages and kind of corpus"),
        ("same evaluation set", True, f"evaluated on {HERE[:12]}", f"test in this folder, {HERE[:12]}"),
        ("frozen set", None, HERE[:12], "any (promote.frozen_digest: null)"),
        ("same signatures", True, "the same", "bleu B|v:2, chrf C|v:2, ter T|v:2"),
        ("minimum BLEU", True, "31.20", "at least 20.00"),
        ("contamination", True, "0 of 1,000 sentences of test are in train", "at most 0"),
        ("behaviour numbers", True, "40 of 40 cases (the champion: 100 %)", "at least 90 %"),
        ("behaviour names", True, "29 of 30 cases (the champion: 96.67 %)", "at least 90 %"),
        ("behaviour own cases", None, "0 of 0 cases", "at least 90 %"),
        ("no loss", True, "+1.20 BLEU, p = 0.010", "no loss of BLEU with p < 0.05"),
        ("slice all", True, "1,000 sentences, BLEU 31.20, +1.20 BLEU, p = 0.010", loss),
        ("slice numbers", True, "80 sentences, BLEU 30.00, +0.00 BLEU, p = 1.000", loss),
        (
            "slice questions",
            None,
            "12 sentences, BLEU 21.00, -9.00 BLEU, p = 0.001",
            "none: fewer than 50 sentences",
        ),
        ("gain", True, "+1.20 BLEU, p = 0.010", "more BLEU with p < 0.05"),
    ]
    for facts, _, _ in STAGED.values():
        for criterion in judge(facts, POLICY).criteria:
            assert criterion.figure
            assert criterion.limit
            assert criterion.name.startswith((*DECISIVE, "gain"))


def test_a_margin_and_a_missing_suite() -> None:
    margin = POLICY.model_copy(update={"margin": 0.5})
    assert judge(evidence(0.4, 0.001), margin).outcome == "kept"
    assert judge(evidence(0.5, 0.001), margin).outcome == "promoted"
    no_checks = changed(evidence(1.2, 0.01), behaviour=[])
    assert by_name(judge(no_checks, POLICY))["behaviour"] == (False, "not checked", "suite.yaml")
    without = judge(no_checks, POLICY.model_copy(update={"behaviour": None}))
    assert (without.outcome, by_name(without)["behaviour"][0]) == ("promoted", None)


# --- properties of every verdict -------------------------------------------------------------------

chances = st.floats(0, 1)
bleus = st.floats(0, 100) | st.just(math.nan)


@st.composite
def anything(draw: st.DrawFn) -> dict[str, Any]:
    """Evidence of any kind, fit or not."""
    facts = evidence(draw(st.floats(-40, 40)), draw(chances))
    facts["challenger"]["scores"]["bleu"] = draw(bleus)
    facts["contaminated"] = draw(st.sampled_from([0, 0, 1]))
    facts["metrics"]["digest"] = draw(st.sampled_from([HERE, HERE, ELSEWHERE]))
    facts["metrics"]["signatures"]["ter"] = draw(st.sampled_from(["T|v:2", "T|v:2", "T|v:1"]))
    facts["behaviour"] = [
        check(f"check {n}", 10, k) for n, k in enumerate(draw(st.lists(st.integers(7, 10))))
    ]
    facts["slices"] = [
        {"slice": f"s{n}", "sentences": size, "champion": 30.0, "challenger": 30 + d, "delta": d, "p": p}
        for n, (size, d, p) in enumerate(
            draw(st.lists(st.tuples(st.integers(1, 200), st.floats(-9, 9), chances), max_size=4))
        )
    ]
    match draw(st.integers(0, 6)):
        case 0:
            facts |= {"champion": None, "tests": None}
        case 1:
            facts["champion"]["problem"] = "gone"
            facts["tests"] = None
        case 2:
            facts["challenger"] |= {"problem": "does not load", "scores": None, "answers_as_evaluated": False}
        case 3:
            facts["challenger"] |= {"problem": "2 differ", "answers_as_evaluated": False}
    return facts


@given(anything())
def test_never_promoted_unfit_or_unproven(facts: dict[str, Any]) -> None:
    judgement = judge(facts, POLICY)
    found = by_name(judgement)
    assert len(found) == len(judgement.criteria)
    fit = all(ok is not False for name, (ok, _, _) in found.items() if name != "gain")
    assert (judgement.outcome == "rejected") == (not fit)
    if judgement.outcome == "promoted":
        assert found[LOADS][0]
        assert found["answers as evaluated"][0]
        assert found["minimum BLEU"][0]
        assert found["gain"][0] or facts["champion"] is None
    if judgement.outcome == "rejected":
        first = min(
            (name for name, (ok, _, _) in found.items() if ok is False and name != "gain"),
            key=lambda name: (next(n for n, d in enumerate(DECISIVE) if name.startswith(d)), name),
        )
        assert f"fails {first!r}: {found[first][1]}; required: {found[first][2]}" in judgement.reason


@given(anything(), st.randoms())
def test_order_does_not_matter(facts: dict[str, Any], random: Any) -> None:
    other = copy.deepcopy(facts)
    random.shuffle(other["slices"])
    random.shuffle(other["behaviour"])
    other = dict(random.sample(sorted(other.items()), len(other)))
    before, after = judge(facts, POLICY), judge(other, POLICY)
    assert (before.outcome, before.reason) == (after.outcome, after.reason)
    assert by_name(before) == by_name(after)


@pytest.mark.parametrize(
    ("lost", "gained", "p", "outcome"), [(14, 0, 0.0001, "rejected"), (0, 14, 0.0001, "promoted")]
)
def test_a_loss_against_the_champion_rejects_also_above_the_threshold(lost, gained, p, outcome):
    weaker = {**check("numbers", 100, 95), "champion_share": 1.0, "lost": lost, "gained": gained, "p": p}
    verdict = judge(changed(evidence(1.2, 0.01), behaviour=[weaker]), POLICY)
    assert verdict.outcome == outcome
    by_chance = {**weaker, "p": 0.03}
    several = changed(evidence(1.2, 0.01), behaviour=[by_chance, check("names", 30, 29)])
    assert judge(several, POLICY).outcome == "promoted"  # of two checks one may differ so


def test_a_champion_of_another_direction_is_compared_with_nothing_and_stays() -> None:
    other = "translates fr → en, learnt from natural b.tsv, the challenger translates de → en"
    facts = changed(evidence(), direction=other, champion__problem=other, champion__scores=None, tests=None)
    verdict = judge(facts, POLICY)
    assert verdict.outcome == "rejected"
    assert "'same direction': the champion translates fr → en" in verdict.reason
    assert "register.name" in verdict.reason


@pytest.mark.parametrize(
    ("recorded", "outcome", "figure"),
    [
        ('{"news": "CC0-1.0", "memory": "CC-BY-4.0"}', "promoted", "news: CC0-1.0, memory: CC-BY-4.0"),
        ('{"news": "CC0-1.0", "web": "unknown"}', "rejected", "web: unknown; name the licence in"),
        (None, "rejected", "not recorded"),
    ],
)
def test_a_licence_that_is_not_allowed_rejects(recorded, outcome, figure):
    policy = POLICY.model_copy(update={"licences": ["CC0-1.0", "CC-BY-4.0"]})
    verdict = judge({**evidence(1.2, 0.01), "licences": recorded}, policy)
    assert verdict.outcome == outcome
    assert next(c for c in verdict.criteria if c.name == "licences").figure.startswith(figure)
    assert not any(c.name == "licences" for c in judge(evidence(1.2, 0.01), POLICY).criteria)
