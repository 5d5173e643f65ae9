"""`python -m benchmarks.template_contamination`: the contamination check for a set made from one template.

Why: a training pair of that template is similar to all sentences of the set, the case in which the check has
most to compare. The templates differ in the share of letters that their sentences have in common, and in the
repetition of words.
"""

from __future__ import annotations

import argparse
import random
import sys
import time
from collections.abc import Callable, Sequence

from benchmarks.corpus_large import CONTENT, NOUNS
from seq2seq.common import environment
from seq2seq.data.contamination_log import ContaminationLog
from seq2seq.data.corpus import Pair

SENTENCES = 1_000  # of the evaluation set
WARM_UP = 1_000  # pairs after which the sentences of a template are recorded as hit
SHARE = 0.8

Words = list[list[str]]


def _one_word(draw: random.Random, nouns: Words) -> Pair:
    source, target = draw.choice(nouns)
    name = "".join(draw.choices("bdfgklmnprstaeiou", k=8))
    return Pair(
        f"Im Haus am See schläft {name} und träumt heute Nacht von {source}.",
        f"In the house by the lake {name} is asleep and dreams tonight of {target}.",
    )


def _numbers(draw: random.Random, nouns: Words) -> Pair:
    one, other = draw.randrange(10_000), draw.randrange(10_000)
    return Pair(f"Der Hund Nr. {one} schläft im Haus {other}.", f"Dog no. {one} is asleep in house {other}.")


def _three_words(draw: random.Random, nouns: Words) -> Pair:
    chosen = [draw.choice(nouns) for _ in range(3)]
    frames = (
        ("Am frühen Morgen stand", "ganz hinten im Garten", "neben dem alten Brunnen"),
        ("In the early morning", "far back in the garden", "beside the old well"),
    )
    sides = (
        " ".join(f"{frame} {words[side]}" for frame, words in zip(frames[side], chosen, strict=True))
        for side in (0, 1)
    )
    return Pair(*sides)


def _half(draw: random.Random, nouns: Words) -> Pair:
    rest = ["".join(draw.choices("bdfgklmnprstaeiou", k=9)) for _ in range(8)]
    return Pair(
        f"Bitte beachten Sie die folgende Anleitung zu {' '.join(rest[:4])}.",
        f"Please note the following instructions about {' '.join(rest[4:])}.",
    )


def _repeated(draw: random.Random, nouns: Words) -> Pair:
    first, second, third = (draw.choice(nouns) for _ in range(3))
    sides = (
        f" {word} ".join([first[side], second[side], first[side], second[side], third[side], first[side]])
        for side, word in enumerate(("und der", "and the"))
    )
    return Pair(*sides)


TEMPLATES: dict[str, Callable[[random.Random, Words], Pair]] = {
    "one or two words differ": _one_word,
    "numbers differ": _numbers,
    "three words differ": _three_words,
    "half differs": _half,
    "words repeat": _repeated,
}


def measure(template: str, pairs: int, sentences: int = SENTENCES) -> tuple[float, float, float]:
    """Pairs a second of processor time, comparisons a pair, and the share of pairs that are contaminated."""
    draw = random.Random(1)
    nouns = [entry.split(":") for entry in f"{NOUNS} {CONTENT}".split()]
    one = TEMPLATES[template]
    log = ContaminationLog({"test": [one(draw, nouns) for _ in range(sentences)]}, SHARE)
    train = [one(draw, nouns) for _ in range(pairs + WARM_UP)]
    log.reasons(train[:WARM_UP], train, range(WARM_UP))
    before, began = log.compared(), time.process_time()
    found = log.reasons(train[WARM_UP:], train[WARM_UP:], range(WARM_UP, len(train)))
    spent = time.process_time() - began
    return pairs / spent, (log.compared() - before) / pairs, sum(map(bool, found)) / pairs


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--pairs", type=int, default=20_000)
    parser.add_argument("--sentences", type=int, default=SENTENCES)
    options = parser.parse_args(arguments)
    environment.configure_process()
    print("| template | pairs a second | comparisons a pair | contaminated |\n|---|---|---|---|")
    for name in TEMPLATES:
        rate, compared, share = measure(name, options.pairs, options.sentences)
        print(f"| {name} | {rate:,.0f} | {compared:.1f} | {share:.0%} |")
    return 0


if __name__ == "__main__":
    sys.exit(main())
