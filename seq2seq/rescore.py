"""Score a registered model on this tree's test split: `python -m seq2seq.rescore models:/NAME/VERSION`.

Why: versions compare only on the same sentences. The model answers in a process of its own, by the
code it was registered with; its answers are scored here, as `evaluate` scores.
"""

from __future__ import annotations

import json
import sys

from seq2seq import environment, paths
from seq2seq.corpus import read_split


def rescore(model: str) -> dict[str, str | float]:
    """BLEU, chrF and BLEU's signature of a version on the test split of data/corpus."""
    from seq2seq import pyfunc, scores, store

    pairs = list(read_split(paths.CORPUS, "test"))
    answers = pyfunc.query(model, store.uri(), [pair.source for pair in pairs])
    found = scores.corpus_scores(answers, [pair.target for pair in pairs])
    return {"bleu": found.bleu, "chrf": found.chrf, "bleu_signature": found.signatures["bleu"]}


if __name__ == "__main__":
    environment.prepare()
    print(json.dumps(rescore(sys.argv[1])))
