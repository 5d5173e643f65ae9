"""Train, validation and test from a grammar: test sentences combine words as no sentence of train does.

Why: a model that only memorises pairs fails on the test split, so its score measures composition.
"""

from __future__ import annotations

import hashlib
import math
import random
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

from seq2seq.data.grammar import Example, Grammar
from seq2seq.data.grammar_rules import SOURCE, TARGET

LONGEST_TRAIN, LONGEST = 20, 25  # source words: in train and validation, in test
HELD_OUT = 10  # one combination in so many is kept for test
PATIENCE = 400  # draws for each pair before the grammar is reported as too small


def write_splits(path: str | Path, sizes: dict[str, int], seed: int) -> dict[str, list[Example]]:
    """Train, validation and test from the grammar at `path`; the same arguments, the same splits.

    Args:
        path: the grammar's yaml file.
        sizes: how many pairs, e.g. {"train": 40000, "validation": 1000, "test": 1000}.
        seed: of the draws; which combinations are held out depends on the grammar alone.

    Returns:
        The three splits. All sources differ; no validation or test target occurs in train. Validation
        is drawn like train. Each test sentence has a combination of lemmas held out from both,
        though all its words occur in train; its longest quarter is longer than nine tenths of train.

    Raises:
        ValueError: an unknown or missing split, a faulty grammar, or one too small for the sizes.
    """
    if set(sizes) != {"train", "validation", "test"} or min(sizes.values()) < 1:
        raise ValueError(f"sizes {sizes}: give train, validation and test, each at least 1")
    grammar, rng = Grammar.load(path), random.Random(seed)
    sources: set[str] = set()

    def draw(split: str, keep: Callable[[Example, int], bool]) -> list[Example]:
        kept: list[Example] = []
        for _ in range(PATIENCE * (sizes[split] + 10)):
            root = grammar.derive(rng)
            if any(map(_held_out, root.combinations())) != (split == "test"):
                continue
            example = grammar.spell(root)
            if example.source not in sources and keep(example, example.source.count(" ") + 1):
                sources.add(example.source)
                kept.append(example)
                if len(kept) == sizes[split]:
                    return kept
        raise ValueError(
            f"{path}: found {len(kept)} of {sizes[split]} {split} pairs; set fewer, "
            "for a larger train split, or add rules and words to the grammar"
        )

    train = draw("train", lambda _, length: length <= LONGEST_TRAIN)
    targets = {example.target for example in train}
    known = {word for example in train for word in _bare_words(example)}
    lengths = sorted(example.source.count(" ") + 1 for example in train)
    usual = lengths[math.ceil(0.9 * len(lengths)) - 1]

    def is_new(example: Example) -> bool:
        return example.target not in targets and known.issuperset(_bare_words(example))

    validation = draw("validation", lambda e, length: length <= LONGEST_TRAIN and is_new(e))
    room = {True: math.ceil(sizes["test"] / 4)}  # is it longer than usual? -> how many are wanted
    room[False] = sizes["test"] - room[True]

    def fits_test(example: Example, length: int) -> bool:
        fits = length <= LONGEST and room[length > usual] > 0 and is_new(example)
        room[length > usual] -= fits
        return fits

    test = draw("test", fits_test)
    rng.shuffle(test)
    return {"train": train, "validation": validation, "test": test}


@cache
def _held_out(combination: str) -> bool:
    """Whether a combination is held out; unlike hash(), the same in every process."""
    digest = hashlib.sha256(combination.encode()).digest()
    return int.from_bytes(digest[:4], "big") % HELD_OUT == 0


def _bare_words(example: Example) -> Iterator[tuple[int, str]]:
    """The (side, word) of an example without punctuation and capitals."""
    for side in (SOURCE, TARGET):
        for word in example[side].lower().split():
            yield side, word.strip(".,;:!?")
