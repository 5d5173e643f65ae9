"""Files of a project whose model was evaluated, without the model."""

import csv
import json
import shutil
from pathlib import Path

from seq2seq.common import params, paths, recipes, schema
from seq2seq.data.corpus import Pair, write_split
from seq2seq.evaluation import scores, slices
from tests.support.projects import ROOT

PAIRS = [
    Pair(f"{name} hat {n} rote Äpfel und {n + 3} Birnen.", f"{name} has {n} red apples and {n + 3} pears.")
    for n in range(11, 15)
    for name in ("Anna", "Paul", "Julia", "Peter", "Maria")
]
SUITE = """
seed: 1
cases: []
checks:
  - {check: numbers, threshold: 0.9, max_cases: 100, min_sentences: 5}
  - {check: empty, threshold: 1.0, max_cases: 3, min_sentences: 1}
  - {check: copy, threshold: 0.9, max_cases: 100, min_sentences: 5}
"""


def lay(hypotheses: list[str], pairs: list[Pair] = PAIRS) -> schema.Params:
    """Write the files of a project whose model was evaluated with these translations; returns the params."""
    Path("suite.yaml").write_text(SUITE)
    shutil.copyfile(ROOT / "recipes/tiny.yaml", paths.PARAMS)
    recipes.apply(None, ["promote.behaviour=suite.yaml"])
    write_split(paths.CORPUS, "test", pairs)
    paths.REPORTS.mkdir(exist_ok=True)
    parts = {"length 7": list(range(len(pairs))), "names": [0, 1, 2]}
    with paths.SLICES.open("w") as file:
        csv.writer(file).writerows(
            [slices.Slice._fields, ["all", 1, 2, 3], *([name, 1, 2, 3] for name in parts)]
        )
    with paths.SEGMENTS.open("w") as file:
        for row, (pair, text) in enumerate(zip(pairs, hypotheses, strict=True)):
            within = [name for name, rows in parts.items() if row in rows]
            segment = {"source": pair.source, "reference": pair.target, "hypothesis": text, "slices": within}
            file.write(json.dumps(segment, ensure_ascii=False) + "\n")
    metrics = {
        "test": {"contaminated": 3},
        "frozen_set": "test",
        "digests": {"test": scores.set_digest(pairs)},
        "signatures": scores.corpus_scores(["a"], ["a"]).signatures,
        "model_digest": "d",
    }
    paths.METRICS.write_text(json.dumps(metrics))
    return params.load()
