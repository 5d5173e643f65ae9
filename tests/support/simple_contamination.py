"""The rule of contamination as a loop over training pairs and evaluation sentences: the reference."""

import math
from difflib import SequenceMatcher
from itertools import combinations_with_replacement

from seq2seq.data.contamination import Hit
from seq2seq.data.contamination_side import N
from seq2seq.data.folding import fold
from seq2seq.data.shares import LONG, RUN


def reference_share(sentence, text):
    """The share of a folded sentence with a folded text, by difflib."""
    blocks = SequenceMatcher(None, sentence, text, autojunk=False).get_matching_blocks()
    runs = [run for run in blocks if run.size >= RUN]
    length, width = len(sentence), len(text)
    shares = [2 * sum(run.size for run in runs) / (length + width)]
    if length >= LONG and width > length:
        for first, last in combinations_with_replacement(range(len(runs)), 2):
            piece = runs[last].b + runs[last].size - runs[first].b
            shares.append(sum(run.size for run in runs[first : last + 1]) / max(length, piece))
    return max(shares)


def match(sets, pairs, least):
    """The hits of each training pair."""
    folded = {
        name: [(fold(sentence.source), fold(sentence.target)) for sentence in own]
        for name, own in sets.items()
    }
    return [_hits(folded, (fold(pair.source), fold(pair.target)), least) for pair in pairs]


def _hits(folded, texts, least):
    found = []
    for name, own in folded.items():
        for row, sentence in enumerate(own):
            sides = {
                side: share
                for side, one, text in zip(("source", "target"), sentence, texts, strict=True)
                if (share := _share(one, text, least))
            }
            if sides:
                kind = "exact" if any(a == b for a, b in zip(sentence, texts, strict=True) if a) else "near"
                side = "both" if len(sides) == 2 else next(iter(sides))
                found.append(Hit(name, row, side, kind, 1.0 if kind == "exact" else max(sides.values())))
    return found


def _share(sentence, text, least):
    """1 for an equal text, the share for a near one, else 0."""
    if sentence == text:
        return 1.0 if sentence else 0.0
    if len(sentence) < N or not any(map(str.isalpha, sentence)):
        return 0.0
    wanted, given = ({one[at : at + N] for at in range(len(one) - N + 1)} for one in (sentence, text))
    if len(wanted & given) < math.ceil(least / 2 * len(wanted)):
        return 0.0
    share = reference_share(sentence, text)
    return share if share >= least else 0.0
