"""The files of a small judged run, as the stages and the gate write them."""

import json

from seq2seq.common import paths

HOSTILE = (
    "<script>alert(1)</script> \"><img src=x onerror='alert(2)'> ![x](http://evil.example/x.png) | a_b `c` "
    "\x00\x1b[31m\x9b \u202egnorw\u202c \u2067gnorw\u2069 \ud800 {{ 7 * 7 }} " + "long" * 200
)
ORIGIN = {
    **{"git.commit": "c" * 40, "git.dirty": "false"},
    **{"dvc.lock.sha256": "d" * 64, "prefect.flow_run_id": "flow"},
}
SIGNATURES = {"bleu": "nrefs:1|tok:13a", "chrf": "nrefs:1|nc:6", "ter": "nrefs:1|tok:tercom"}


def scores(value):
    three = dict.fromkeys(("bleu", "chrf", "ter"), value)
    bounds = {f"{key}_{end}": value + by for key in three for end, by in (("low", -1.5), ("high", 1.5))}
    return {**three, **bounds, "brevity_penalty": 0.98, "sentences": 100, "contaminated": 0}


def record(text="Ein Hund schläft."):
    """The files of a judged run, by path; `text` takes the place of all texts of corpus and people."""
    counts = {"empty": 1, "duplicate": 2}
    side = {"unit": "word", "pieces_per_word": 1.4, "characters_in_bytes": 0.001, "round_trip_failures": 0}
    both = {"source": text, "target": text}
    hit = {"set": "test", "row": 1, "train_row": 2, "side": "both", "kind": "near", "share": 0.9}
    change = {"source": text, "reference": text, "champion": f"{text} a b", "challenger": f"{text} b"}
    version = {
        "uri": "models:/de-en/2",
        "version": "2",
        "problem": "",
        "scores": dict.fromkeys(SIGNATURES, 40.0),
    }
    champion = {**version, "uri": "models:/de-en/1", "version": "1", "problem": text}
    tested = {"challenger": 40.0, "champion": 39.0, "delta": 1.0, "p": 0.01}
    check = {"check": "numbers", "cases": 2, "passed": 1, "share": 0.5, "threshold": 0.9, "ok": False}
    sample = {"kind": "short", "source": text, "hypothesis": text, "reference": text}
    return {
        paths.METRICS: {
            "validation": scores(41.0), "test": scores(40.0) | {"bleu_greedy": 39.0}, "news": scores(30.0),
            "frozen_set": "test", "digests": {"validation": "a", "test": "b", "news": "c"},
            "signatures": SIGNATURES, "model_digest": "m",
        },
        paths.EVIDENCE: {
            "set": {"name": "test", "digest": "b", "sentences": 100}, "signatures": SIGNATURES,
            "challenger": version, "champion": champion,
            "tests": {key: {"delta": 1.0, "p": 0.0005} for key in SIGNATURES},
            "slices": [
                {"slice": "all", "sentences": 100, **tested},
                {"slice": "numbers", "sentences": 3, **tested, "delta": -10.0},
            ],
            "behaviour": [
                check | {"failures": [{"source": text, "translation": text, "why": text}]}
                | {"champion_share": 1.0},
                check | {"check": "empty", "cases": 0, "passed": 0, "share": None, "ok": None, "failures": []}
                | {"champion_share": None},
            ],
            "contaminated": 0, "metrics": {"digest": "b", "signatures": SIGNATURES, "model_digest": "m"},
            "regressions": [change | {"champion_chrf": 90.0, "challenger_chrf": 20.0}] * 4,
            "gains": [change | {"champion_chrf": 20.0, "challenger_chrf": 90.0}],
        },
        paths.VERDICT: {
            "outcome": "rejected", "reason": text, "name": "de-en", "version": "2", "champion": "1",
            "when": "2026-11-22T20:31:07+00:00", "who": text, "flow_run_id": "f", "seconds": 4.0,
            "origin": ORIGIN,
            "criteria": [{"name": "minimum BLEU", "ok": True, "figure": text, "limit": "50"},
                         {"name": "behaviour", "ok": False, "figure": "0.5", "limit": "0.9"},
                         {"name": "worst slice", "ok": None, "figure": "-", "limit": "3"}],
        },
        paths.CURVE: "update,epoch,training_loss,validation_loss,perplexity,learning_rate\n"
        "10,1,4.0,3.0,20.1,0.1\n20,2,3.0,,,0.1\n30,2,2.0,1.5,4.5,0.1\n",
        paths.CONFIDENCE: {
            "calibration": {"slope": 86.3, "intercept": 4.7, "bad_below": 50.0},
            "bad_below": 50.0,
            "fitted": {"set": HOSTILE, "sentences": 1000, "bad": 34},
            "measured": {
                "set": HOSTILE,
                "sentences": 1000,
                "bad": 83,
                "auc": 0.953,
                "caught": {"5": 0.4337, "10": 0.6988},
                "calibration_error": 0.036,
            },
        },
        paths.SLICES: "slice,sentences,bleu,chrf\nall,100,40.0,60.0\n",
        paths.SAMPLES: [
            sample | {"source_pieces": ["▁" + text, "t", "</s>"], "picture": "attention_1_longest.png"},
            sample | {"source_pieces": [], "picture": None},
        ],
        paths.CLEANING: {
            "train": {"read": 50, "kept": 47, "rewritten": 1, "alignments_lost": 0, "dropped": counts},
            "test": {"read": 9, "kept": 9, "flagged": {"empty": 0}},
        },
        paths.DROPPED: [{"split": "train", "row": 1, "reason": "empty", **both}],
        paths.CONTAMINATION: {
            "action": "drop", "share": 0.8,
            "hits": [hit | both | {"train_source": text, "train_target": text}],
            "sets": {"test": {"sentences": 100, "contaminated": 1, "pairs": 1, "exact": 0, "near": 1}},
        },
        paths.COVERAGE: {"vocabulary_size": 300, "coverage": {"train": {"source": side, "target": side}}},
        paths.PROVENANCE: {
            "kind": "hub", "path": "corpora/x.yaml", "id": "some/corpus", "config": None, "revision": "abc",
            "licence": "CC-BY-4.0", "columns": {"source": "no", "target": "en"},
            "made_splits": ["validation"],
            "rows": {"train": 50, "test": 9},
            "sources": {"news": {
                "path": "corpora/x.yaml", "licence": "CC-BY-4.0", "attribution": None, "rows": {"train": 50},
                "files": [{"name": "train.csv", "sha256": "d", "bytes": 5}],
            }},
        },
        paths.REGISTRATION: {"name": "de-en", "version": "2", "model_digest": "m", "run_id": "r"},
        paths.RUN: {"run_id": "r", "experiment": "de-en", "fingerprint": "f"},
    }  # fmt: skip


def drift(profile, text, accepted=()):
    """The comparison of a profile, by its sha256, with that of the champion's corpus."""
    move = {"name": "length in words of source", "divergence": 0.25, "change": text}
    record = {"name": "de-en", "champion": "1", "profile": profile, "note": "", "largest": move}
    return record | {"moves": [move], "accepted": list(accepted)}


def lay(files):
    for path, value in files.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(value if isinstance(value, str) else json.dumps(value), encoding="utf-8")
