"""Invented evidence about a challenger and a champion."""

from __future__ import annotations

import copy
from typing import Any

HERE, ELSEWHERE = "a" * 64, "b" * 64


def evidence(delta: float = 0.0, p: float = 1.0, **challenger: Any) -> dict[str, Any]:
    """A fit challenger, version 2, that is `delta` BLEU better than the champion, version 1, at 30."""
    bleu = 30.0 + delta
    scores = {"bleu": bleu, "chrf": 55.0, "ter": 50.0}
    test = {"delta": delta, "p": p}
    rows = [("all", 1000, delta, p), ("numbers", 80, 0.0, 1.0), ("questions", 12, -9.0, 0.001)]
    names = ("slice", "sentences", "delta", "p")
    return {
        "set": {"name": "test", "digest": HERE, "sentences": 1000},
        "signatures": {"bleu": "B|v:2", "chrf": "C|v:2", "ter": "T|v:2"},
        "challenger": {
            **{"uri": "models:/m/2", "version": "2", "problem": "", "answers_as_evaluated": True},
            **{"scores": scores, **challenger},
        },
        "champion": {"uri": "models:/m/1", "version": "1", "problem": "", "scores": {"bleu": 30.0}},
        "tests": {"bleu": test, "chrf": test, "ter": test},
        "slices": [
            {**dict(zip(names, row, strict=True)), "champion": 30.0, "challenger": 30.0 + row[2]}
            for row in rows
        ],
        "behaviour": [check("numbers", 40, 40), check("names", 30, 29), check("own cases", 0, 0)],
        "contaminated": 0,
        "metrics": {
            "digest": HERE,
            "signatures": {"bleu": "B|v:2", "chrf": "C|v:2", "ter": "T|v:2"},
            "model_digest": "m",
        },
        "regressions": [],
        "gains": [],
    }


def check(name: str, cases: int, passed: int) -> dict[str, Any]:
    share = passed / cases if cases else None
    facts = {"check": name, "cases": cases, "passed": passed, "share": share, "threshold": 0.9}
    even = {"champion_share": share, "lost": 0, "gained": 0, "p": 1.0}
    return {**facts, "ok": None if share is None else share >= 0.9, "failures": [], **even}


def changed(base: dict[str, Any], **values: Any) -> dict[str, Any]:
    """A copy with dotted keys (`set__digest`) set."""
    facts = copy.deepcopy(base)
    for path, value in values.items():
        *keys, last = path.split("__")
        place = facts
        for key in keys:
            place = place[key]
        place[last] = value
    return facts
