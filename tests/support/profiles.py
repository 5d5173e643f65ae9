"""The profile of a small corpus, counted in parts that are merged, without a vocabulary."""

import json
from itertools import islice

import numpy as np

from seq2seq.data import profile, words
from seq2seq.data.corpus import read_split
from seq2seq.data.direction import SIDES
from seq2seq.data.profile_counts import SourceCounts


def of_corpus(folder, direction, coverage, part=50):
    """The profile of a folder of splits; `coverage` as in reports/tokenizer.json."""
    others = {name: profile.words_of(folder, name) for name in coverage if name != "train"}
    unseen = {side: {word for found in others.values() for word in found[side]} for side in SIDES}
    sources: dict[str, SourceCounts] = {}
    pairs = read_split(folder, "train")
    while batch := list(islice(pairs, part)):
        for name in {pair.origin or "corpus" for pair in batch}:
            own = [pair for pair in batch if (pair.origin or "corpus") == name]
            texts = {"source": [pair.source for pair in own], "target": [pair.target for pair in own]}
            lengths = {
                side: {
                    "characters": np.array([len(text) for text in texts[side]]),
                    "words": np.array([words.length(text) for text in texts[side]]),
                }
                for side in SIDES
            }
            counts = SourceCounts()
            for side, found in counts.add(texts, lengths).items():
                unseen[side].difference_update(found)
            state = json.loads(json.dumps(counts.state()))
            sources.setdefault(name, SourceCounts()).merge(state)
    return profile.of_counts(sources, direction, coverage, others, unseen)
