"""How well a model trained with masked spans keeps them: `python -m benchmarks.protected_spans MODEL CORPUS`.

Why: a symbol that a model loses is put back by alignment, maybe in a wrong place. Measured are how often that
happens, and the cost of symbols: BLEU of the test sentences with their own words, and with spans in place of
one to three of them (a name that no training has seen, a URL, a placeholder, a number with a unit).
"""

from __future__ import annotations

import argparse
import json
import random
import re
from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from sacrebleu.metrics.bleu import BLEU

from seq2seq import Translator
from seq2seq.data.corpus import read_split
from seq2seq.data.span_masking import WORD, learn_lexicon
from seq2seq.inference.glossary import Glossary
from seq2seq.inference.protection import Protection

LEXICON_PAIRS = 50_000
SPANS = ("https://example.org/a?b=1", "{name}", "%d", "40 km", "info@example.org", "<b>")


class Case(NamedTuple):
    """A test sentence and its reference, with spans in the place of words and their translations."""

    source: str
    reference: str
    spans: list[str]
    terms: dict[str, str]  # the glossary's


def cases(pairs: Sequence[tuple[str, str]], lexicon: dict[str, str], count: int, seed: int) -> list[Case]:
    """A case for each pair that has `count` words with a translation, each once on either side."""
    rng = random.Random(seed)
    made = []
    for source, target in pairs:
        words = [
            word
            for word in dict.fromkeys(WORD.findall(source))
            if lexicon.get(word)
            and len(re.findall(rf"\b{word}\b", source)) == 1
            and len(re.findall(rf"\b{lexicon[word]}\b", target)) == 1
        ]
        if len(words) < count:
            continue
        spans, terms = [], {}
        for number, word in enumerate(rng.sample(words, count)):
            if rng.random() < 0.5:  # a term of the glossary
                span = f"Zorblax{number}"
                terms[word] = span
            else:
                span = rng.choice([one for one in SPANS if one not in spans])
                source = re.sub(rf"\b{word}\b", span, source)
            target = re.sub(rf"\b{lexicon[word]}\b", span, target)
            spans.append(span)
        made.append(Case(source, target, spans, terms))
    return made


def first_hypotheses_with_all(translator: Translator, made: Sequence[Case]) -> float:
    """The share of sentences whose best hypothesis has each symbol once, before anything is repaired."""
    complete = 0
    for case in made:
        protection = Protection(translator.vocabulary, Glossary(case.terms))
        [ids] = protection.encode([protection.mark(case.source)])
        [found] = translator._engine.search([ids], translator.decoding, 1)
        symbols = set(translator.vocabulary.symbols)
        wanted, got = (sorted(piece for piece in side if piece in symbols) for side in (ids, found[0].ids))
        complete += wanted == got
    return complete / len(made)


def translated(translator: Translator, made: Sequence[Case]) -> list[str]:
    """The translation of each case, with its own glossary."""
    found = []
    for case in made:
        translator.glossary = Glossary(case.terms)
        found += translator.translate([case.source], warn=False)
    return found


def measure(
    translator: Translator, pairs: Sequence[tuple[str, str]], lexicon: dict[str, str], seed: int
) -> list[dict[str, float]]:
    """The figures for one, two and three spans in a sentence."""
    rows = []
    for count in (1, 2, 3):
        made = cases(pairs, lexicon, count, seed)
        if not made:
            continue
        found = translated(translator, made)
        kept = sum(
            text.count(span) == 1 for text, case in zip(found, made, strict=True) for span in case.spans
        )
        rows.append(
            {
                "spans": count,
                "sentences": len(made),
                "complete_at_once": round(first_hypotheses_with_all(translator, made), 4),
                "kept": round(kept / (count * len(made)), 4),
                "bleu": _bleu(found, [case.reference for case in made]),
            }
        )
    return rows


def _bleu(found: list[str], references: list[str]) -> float:
    return round(float(BLEU().corpus_score(found, [references]).score), 2)


def main() -> None:
    """Print the figures as JSON lines, and BLEU of the sentences as they are."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model", type=Path, help="a model folder")
    parser.add_argument("corpus", type=Path, help="a folder of the clean stage: data/corpus")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    translator = Translator.from_folder(options.model)
    train = islice(read_split(options.corpus, "train"), LEXICON_PAIRS)
    lexicon = learn_lexicon((pair.source, pair.target) for pair in train)
    pairs = [(pair.source, pair.target) for pair in read_split(options.corpus, "test")]
    plain = translator.translate([source for source, _ in pairs], warn=False)
    bleu = _bleu(plain, [target for _, target in pairs])
    print(json.dumps({"spans": 0, "sentences": len(pairs), "bleu": bleu}))
    for row in measure(translator, pairs, lexicon, options.seed):
        print(json.dumps(row))


if __name__ == "__main__":
    main()
